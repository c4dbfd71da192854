package policy

import "syscall"

// Refusal says what an error number means when a policy is loaded: the one that
// write(2) to new_policy or update returns, and that a record of type 1422 has
// since Linux 6.16 (errno=, with a minus sign).
type Refusal struct {
	Errno syscall.Errno
	Name  string // EBADMSG
	Short string // why, in a few words
	Long  string // why, and what would be right, as a clause without a full stop
}

// refusals are those of Documentation/admin-guide/LSM/ipe.rst, of the functions
// that it does not list (fs/libfs.c and fs/namei.c for the directory of the
// policy, lib/asn1_decoder.c and crypto/asymmetric_keys/pkcs7_verify.c for the
// signature), and what kernels were seen to answer.
var refusals = [...]Refusal{
	{syscall.EPERM, "EPERM", "the writer lacks CAP_MAC_ADMIN", "who wrote it has no CAP_MAC_ADMIN in the initial user namespace"},
	{syscall.ENOENT, "ENOENT", "the policy was deleted meanwhile", "the policy to update was deleted meanwhile"},
	{syscall.ENOMEM, "ENOMEM", "no memory", "the kernel had no memory for it"},
	{syscall.EACCES, "EACCES", "the name is no name of a directory", "its name is no name of a directory: it has a slash, or is . or .."},
	{syscall.EEXIST, "EEXIST", "a policy of this name is loaded already", "a policy of that name is loaded already; write to the file update in its directory instead"},
	{syscall.EINVAL, "EINVAL", "the signature is damaged, or the name is another one", "the signature is damaged, a digest or version in it is malformed, or an update has another name than the policy"},
	{syscall.ERANGE, "ERANGE", "a number of the version is too large", "a number of its version is above 65535"},
	{syscall.ENAMETOOLONG, "ENAMETOOLONG", "the name is longer than 255 bytes", "its name is longer than 255 bytes"},
	{syscall.ENODATA, "ENODATA", "the text is not inside the signature", "it is a signature without the text in it; sign so that the text is inside (not detached)"},
	{syscall.ENOPKG, "ENOPKG", "signed with an algorithm that the kernel lacks", "it was signed with an algorithm that this kernel was built without"},
	{syscall.EBADMSG, "EBADMSG", "not a signed policy, or a mistake in its text", "it is not signed, or its text is not a policy"},
	{syscall.EMSGSIZE, "EMSGSIZE", "larger than 65535 bytes with its signature", "it has more than 65535 bytes with its signature; leave out comments, or allow more with one rule"},
	{syscall.ESTALE, "ESTALE", "the version is not newer", "an update has to have a higher version than the policy"},
	{syscall.ENOKEY, "ENOKEY", "signed by an unknown key", "the key that signed it is in none of the keyrings that the kernel trusts for this"},
	{syscall.EKEYREJECTED, "EKEYREJECTED", "the signature does not fit the text", "it was changed after it was signed"},
}

// Refusals returns what is known of all error numbers, in their order on most
// architectures.
func Refusals() []Refusal { return append([]Refusal(nil), refusals[:]...) }

// RefusalOf returns what is known of an error number as a record has it, with or
// without the minus sign. It allocates nothing. The numbers are those of the
// architecture that this was built for.
func RefusalOf(errno int64) (r Refusal, ok bool) {
	for i := range refusals {
		if n := int64(refusals[i].Errno); n == errno || n == -errno {
			return refusals[i], true
		}
	}
	return Refusal{}, false
}
