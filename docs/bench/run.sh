#!/usr/bin/env bash
# Speed of `updoc diagnose` as a whole process beside ripgrep on the same file, in
# interleaved rounds. Usage: docs/bench/run.sh [MB [ROUNDS [CBS.log ...]]]
# The file is a given CBS.log repeated up to MB megabytes; without one, each real one
# beside the repository. Where the system allows it both go before whatever else the
# machine does, which would be measured otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."
mb=${1:-400} rounds=${2:-11}; shift $(($# < 2 ? $# : 2))
[ $# -gt 0 ] || set -- ../shared/logs/{WinErros,alborz25,scarlaglen}-CBS.log
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
./docs/bench/build.sh "$dir/updoc"
first=(); ! chrt -r 1 true 2>/dev/null || first=(chrt -r 1)
pattern='0x8[0-9a-fA-F]{7}|, Error|\[SR\]'
# one round: seconds of a command, and its peak memory, in a file
round() {
  local out=$1 begin end; shift
  begin=${EPOCHREALTIME//[.,]/}
  /usr/bin/time -o "$dir/peak" -f %M "${first[@]}" "$@" >/dev/null 2>&1 || true
  end=${EPOCHREALTIME//[.,]/}
  echo "$((end - begin)) $(tail -n 1 "$dir/peak")" >>"$out"
}
for log; do
  [ -f "$log" ] || { echo "NOT RUN speed beside ripgrep: $log is not here"; continue; }
  n=$(( mb * 1024 * 1024 / $(stat -c %s "$log") + 1 ))
  for ((i = 0; i < n; i++)); do cat "$log"; done >"$dir/CBS.log"
  for ((i = 0; i <= rounds; i++)); do
    [ "$i" -gt 1 ] || rm -f "$dir"/*.times   # the first round warms the page cache
    round "$dir/updoc.times" "$dir/updoc" diagnose --from "$dir/CBS.log"
    round "$dir/rg.times" rg -c "$pattern" "$dir/CBS.log"
  done
  paste "$dir/updoc.times" "$dir/rg.times" | awk -v mb="$mb" -v log_="$(basename "$log")" '
    { u[NR] = $1; r[NR] = $3; q[NR] = $1 / $3; if ($2 > m) m = $2 }
    function median(a, n) { asort_(a, n); return a[int((n + 1) / 2)] }
    function asort_(a, n,   i, j, t) { for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t } }
    END { printf "%s, %d MB, %d rounds: updoc median %.3f s, ripgrep median %.3f s, median ratio %.2f, updoc peak %.0f MB\n",
          log_, mb, NR, median(u, NR) / 1e6, median(r, NR) / 1e6, median(q, NR), m / 1024 }'
done
