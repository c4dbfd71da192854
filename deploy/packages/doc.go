// Command packages builds what a release consists of, with one command in the
// top folder of the project:
//
//	go run ./deploy/packages
//
// It writes to dist: a source archive with all modules, .deb and .rpm for amd64
// and arm64, an OCI image of both, a bill of materials (CycloneDX) for each binary, and
// SHA256SUMS. No container engine is asked for the image, whose one layer is the
// static binary and its licences:
//
//	skopeo copy --all oci-archive:dist/ipe-auditd-0.1.0.oci.tar docker://registry.example.com/ipe-auditd:0.1.0
//
// The packages are built from the source archive and from nothing else, so that
// it is complete: in the unpacked archive the same command makes the same bytes,
// without a network if nfpm is at hand (-nfpm). Nothing of the machine goes into
// them. Times are that of the last commit (or SOURCE_DATE_EPOCH), names of
// folders and of the host are left out, and files are owned by root.
//
// The version is the tag of the commit, without its v. Between releases it is
// the next one, as the first heading of CHANGELOG.md says, and a suffix that
// sorts before it: 0.1.0~git20261123183556.1289723bcd01, with .dirty when the
// tree is not what was committed. The binary prints the same.
//
// It refuses to build when THIRD-PARTY-NOTICES is not what the linked modules
// ask for; -notices writes that file. Packing itself is left to nfpm, a tool of
// a fixed version that is fetched when it runs: nothing of it enters go.mod.
package main
