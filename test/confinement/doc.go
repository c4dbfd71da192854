// Package confinement checks the AppArmor profiles and the SELinux module in deploy:
// that the tools of each take them, and that they know the places of the service. That
// the daemon works in its profile is tested on real kernels by test/vm.
package confinement
