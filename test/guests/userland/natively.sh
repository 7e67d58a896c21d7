#!/bin/sh
# Writes answers.txt: check.sh on this machine's processor, in the userland that the integration test unpacks
# (its folder is the argument). glibc is kept from AVX and FMA, which the guest's processor does not have and
# whose variants of sin and exp may differ in the last bit. As root, or where users may make namespaces.
set -e
here=$(cd "$(dirname "$0")" && pwd)
root=$1
mkdir -p "$root/check" "$root/proc" "$root/dev" "$root/tmp"
cp "$here"/*.py "$here/check.sh" "$root/check/"
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2_Usable,-AVX512F_Usable,-FMA_Usable,-FMA4_Usable,-AVX_Usable,-AVX2,-FMA,-FMA4,-AVX,-AVX512F
unshare --map-root-user --mount --pid --fork sh -c "mount -t proc proc '$root/proc' && mount --rbind /dev '$root/dev' &&
  chroot '$root' /bin/bash /check/check.sh" > "$here/answers.txt" 2>&1
rm -r "$root/check"
