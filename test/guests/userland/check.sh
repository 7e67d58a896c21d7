# Run by bash in a Debian userland, in the guest and on the real processor; what it prints must be the same.
export PATH=/usr/bin:/bin LC_ALL=C
cd /tmp
seq 1 20000 > a
for each in md5sum sha1sum sha256sum sha512sum b2sum cksum; do $each < a; done
sort -R --random-source=a a > b; sort -n b | md5sum; sort -V b | md5sum; sort -rg b | uniq | wc; tac a | md5sum
tr 0-9 a-j < a | fold -w 37 | sort -u | tail -2; od -t fD -t fF -t fL b | md5sum; base64 a | base64 -d | cmp - a
comm -12 <(sort a) <(sort b) | wc -l; cut -c2-3 a | sort | uniq -c | sort -rn | head -3; factor 123456789012345678
for each in 3.14159265358979323846 6.02214076e23 1.1 123456789012345678901234567890 -0.1 1e4932 inf; do
  printf '%.21Lg %La %.10Le\n' $each $each $each
done
seq 0 0.1 2 | tr '\n' ' '; /usr/bin/printf '%.30g %.20e\n' 0.1 1e4000
for each in 'gzip -9n' 'gzip -1n' 'xz -1' 'xz -6e'; do
  $each < a > z; md5sum < z; set -- $each; $1 -d < z | cmp - a
done
grep -cE '^(1|2[3-5])+7*$' a; grep -P '(\d)\1{3}' a | md5sum; sed -E 's/([0-9])([0-9])/\2-\1/g; y/0123/abcd/' a | md5sum
gawk 'BEGIN { for (i = 1; i <= 9000; i++) { s += sin(i) / i; t += log(i) * sqrt(i); u = (u * 1103515245 + 12345) % 2147483648 }
  printf "%.17g %.17g %d %.10e\n", s, t, u, exp(1.5); print 2 ^ 53, -7 % 3, int(-3.7), 1e300 * 1e300, -log(0) }'
gawk -M 'BEGIN { PREC = 200; printf "%.50f\n", 4 * atan2(1, 1) }'
echo 'scale=60; 4*a(1); e(1); sqrt(2); l(10); s(1); 3^200' | BC_LINE_LENGTH=0 bc -l
perl -e 'my $s = 0; $s += sin($_) * sqrt($_) / exp($_ / 500) for 1 .. 5000; printf "%.15g %.17g %s\n", $s, 4 * atan2(1, 1), 1.5 ** 300'
perl -e 'my %h; $h{$_ % 97} .= chr(65 + $_ % 26) for 1 .. 9000; print scalar(keys %h), " $h{13}\n"; print unpack("H*", pack("NnCdfw", 1, 2, 3, 1.25, 3.5, 300)), "\n"'
for each in sha256 sha3-256 blake2b512 sm3; do openssl dgst -$each a; done
key=000102030405060708090a0b0c0d0e0f
for each in aes-128-cbc aes-256-ctr chacha20 camellia-128-cbc; do openssl enc -$each -K $key -iv $key -in a 2> /dev/null | openssl md5; done
openssl ecparam -name prime256v1 -genkey -noout -out key && openssl dgst -sha256 -sign key -out signature a &&
  openssl ec -in key -pubout -out public 2> /dev/null && openssl dgst -sha256 -verify public -signature signature a
echo $((2**62 / 7)) $((-17 % 5)) $(( (1 << 63) >> 3 )) ${BASH_VERSINFO[0]}
fibonacci() { (( $1 < 2 )) && { echo $1; return; }; echo $(( $(fibonacci $(($1 - 1))) + $(fibonacci $(($1 - 2))) )); }
fibonacci 7
trap 'echo trapped' USR1; kill -USR1 $$; (exit 7); echo $?; timeout 0.3 sleep 9; echo $?
{ sleep 5 & kill -TERM $!; wait $!; echo $?; } 2> /dev/null
set -o pipefail; false | true; echo $?; yes | head -20000 | md5sum; [[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo ${BASH_REMATCH[2]}
python3 /check/mathematics.py
python3 /check/processes.py
echo all done
