#!/usr/bin/env bash
# Speed of `updoc diagnose` as a whole process beside ripgrep on the same file, in
# interleaved rounds. Usage: docs/bench/run.sh [CBS.log [MB [ROUNDS]]]
# The file is the given CBS.log repeated up to MB megabytes.
set -euo pipefail
cd "$(dirname "$0")/../.."
log=${1:-../shared/logs/WinErros-CBS.log} mb=${2:-400} rounds=${3:-11}
[ -f "$log" ] || { echo "NOT RUN speed beside ripgrep: $log is not here"; exit 0; }
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
go build -o "$dir/updoc" .
n=$(( mb * 1024 * 1024 / $(stat -c %s "$log") + 1 ))
for ((i = 0; i < n; i++)); do cat "$log"; done >"$dir/CBS.log"
pattern='0x8[0-9a-fA-F]{7}|, Error|\[SR\]'
# one round: seconds and peak memory of a command, in a file
round() { local out=$1; shift; /usr/bin/time -a -o "$out" -f '%e %M' "$@" >/dev/null 2>&1 || true; }
for ((i = 0; i <= rounds; i++)); do
  [ "$i" = 1 ] && rm -f "$dir"/*.times   # the first round warms the page cache
  round "$dir/updoc.times" "$dir/updoc" diagnose --from "$dir/CBS.log"
  round "$dir/rg.times" rg -c "$pattern" "$dir/CBS.log"
done
grep -h '^[0-9]' "$dir/updoc.times" >"$dir/u"; grep -h '^[0-9]' "$dir/rg.times" >"$dir/r"
paste "$dir/u" "$dir/r" | awk -v mb="$mb" '
  { u[NR] = $1; r[NR] = $3; q[NR] = $1 / ($3 > 0 ? $3 : 0.01); if ($2 > m) m = $2 }
  function median(a, n) { asort_(a, n); return a[int((n + 1) / 2)] }
  function asort_(a, n,   i, j, t) { for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t } }
  END { printf "%d MB, %d rounds: updoc median %.2f s, ripgrep median %.2f s, median ratio %.2f, updoc peak %.0f MB\n",
        mb, NR, median(u, NR), median(r, NR), median(q, NR), m / 1024 }'
