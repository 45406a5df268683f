#!/usr/bin/env bash
# Speed of `updoc trace` beside curl: the same 20 requests, all at once, each program as
# a whole process, in interleaved rounds; the lab serves them from a third process.
# Usage: docs/bench/route.sh [ROUNDS]
# Twice: with every address answered, and with one of the 20 in a black hole, where both
# wait as long as they are told to (5 s). All of it happens in a network namespace of
# its own: nothing leaves the machine. Where the system allows it the three go before
# whatever else the machine does, which would be measured otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-9}
for p in curl ip unshare; do
  command -v "$p" >/dev/null || { echo "NOT RUN speed beside curl: $p is not installed"; exit 0; }
done
if [ "${UPDOC_OWN_NET:-}" != 1 ]; then
  dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
  ./docs/bench/build.sh "$dir/updoc"
  own=(unshare -mn); [ "$(id -u)" = 0 ] || own=(unshare -rmn)
  "${own[@]}" true 2>/dev/null || { echo "NOT RUN speed beside curl: no namespace of one's own here"; exit 0; }
  UPDOC_OWN_NET=1 UPDOC_BENCH_DIR=$dir "${own[@]}" "$0" "$rounds"
  exit
fi
dir=$UPDOC_BENCH_DIR
first=(); ! chrt -r 1 true 2>/dev/null || first=(chrt -r 1)
ip link set lo up
# A neighbour that is known and not there: packets to it are sent and never answered.
ip link add hole type veth peer name nowhere
ip addr add 198.51.100.1/24 dev hole
ip link set hole up; ip link set nowhere up
ip neigh add 198.51.100.99 lladdr 02:00:5e:00:53:01 dev hole

"${first[@]}" "$dir/updoc" lab --roots "$dir/roots.pem" >"$dir/lab" & lab=$!
trap 'kill $lab 2>/dev/null; wait $lab 2>/dev/null || true' EXIT
for ((i = 0; i < 100; i++)); do grep -q '^Ctrl-C' "$dir/lab" && break; sleep 0.1; done

# 20 addresses: the services by http and https, some with two paths.
awk '$1 !~ /\*/ && /:(80|443)\/tcp/ {
  name = $1; sub(/[:,].*/, "", name); world = $0; sub(/\/tcp.*/, "", world); sub(/.*:/, "", world)
  print (world == 443 ? "https" : "http"), name, world, substr($NF, 1, index($NF, ":") - 1) }' "$dir/lab" >"$dir/doors"
urls=()
for path in / /index.html; do
  while read -r scheme name _; do
    [ ${#urls[@]} -lt 20 ] || break
    urls+=("$scheme://$name$path")
  done <"$dir/doors"
done
[ ${#urls[@]} = 20 ] || { echo "the lab has too few doors"; cat "$dir/lab"; exit 1; }
# Both take the names from the hosts file: curl as Debian builds it asks no other server.
awk '{ print $4, $2 }' "$dir/doors" | sort -u >"$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts

# round FILE COMMAND...: wall time of a command, in microseconds.
round() {
  local out=$1 begin=${EPOCHREALTIME/./}; shift
  "${first[@]}" "$@" >/dev/null 2>&1 || true
  echo $((${EPOCHREALTIME/./} - begin)) >>"$out"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%d", v[int((NR + 1) / 2)] }'; }

race() {
  local name=$1 u; shift
  local trace=("$dir/updoc" trace --trust "$dir/roots.pem" --format json)
  local curl=(curl -q -s --parallel --parallel-immediate --parallel-max 64 --connect-timeout 5 --cacert "$dir/roots.pem")
  for u in "$@"; do trace+=(--url "$u"); curl+=(-o /dev/null "$u"); done
  for ((i = 0; i <= rounds; i++)); do
    [ "$i" = 1 ] && rm -f "$dir"/*.times # the first round warms the caches
    round "$dir/trace.times" "${trace[@]}"
    round "$dir/curl.times" "${curl[@]}"
  done
  local t c; t=$(median "$dir/trace.times") c=$(median "$dir/curl.times")
  printf '%-28s updoc trace %d.%d ms, curl --parallel %d.%d ms (median of %d)\n' "$name" \
    $((t / 1000)) $((t % 1000 / 100)) $((c / 1000)) $((c % 1000 / 100)) "$rounds"
  ((t <= c)) || {
    echo "updoc trace is slower than curl"; return 1
  }
}
status=0
race "20 of 20 answer" "${urls[@]}" || status=1
race "19 answer, one never does" "${urls[@]:0:19}" https://198.51.100.99/ || status=1
exit $status
