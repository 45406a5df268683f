#!/usr/bin/env bash
# Downloads of `updoc catalog download` beside curl: the same package from the same nginx
# over the same line, each program as a whole process, in interleaved rounds.
# Usage: docs/bench/catalog.sh [ROUNDS]
# updoc also asks two pages of the catalogue, and computes two digests; curl only fetches.
# The line: 15 ms each way, its rate limited by `tc tbf`; once clean, once with packets
# lost by chance, where the server's TCP is one that backs off at losses (Reno: the only
# such one that every kernel has). All of it happens in network namespaces of its own: nothing leaves the
# machine. Both write to memory, so that no disk is measured.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
for p in curl ip tc unshare nginx openssl python3; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$p" >/dev/null || { echo "NOT RUN downloads beside curl: $p is not installed"; exit 0; }
done
PATH=$PATH:/usr/sbin:/sbin
[ -w /dev/net/tun ] || { echo "NOT RUN downloads beside curl: /dev/net/tun cannot be opened"; exit 0; }
if [ "${UPDOC_OWN_NET:-}" != 1 ]; then
  [ "$(id -u)" = 0 ] || { echo "NOT RUN downloads beside curl: network namespaces need root"; exit 0; }
  unshare -mn true 2>/dev/null || { echo "NOT RUN downloads beside curl: no namespace of one's own here"; exit 0; }
  dir=$(mktemp -d -p /dev/shm); trap 'rm -rf "$dir"' EXIT
  ./docs/bench/build.sh "$dir/updoc"
  UPDOC_OWN_NET=1 UPDOC_BENCH_DIR=$dir unshare -mn "$0" "$rounds"
  exit
fi
dir=$UPDOC_BENCH_DIR
first=(); ! chrt -r 1 true 2>/dev/null || first=(chrt -r 1)
jobs=(); trap 'kill "${jobs[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT

mount -t tmpfs none /run; mkdir -p /run/netns
ip link set lo up; ip netns add server; ip -n server link set lo up
congestion() { ip netns exec server sh -c "echo $1 >/proc/sys/net/ipv4/tcp_congestion_control"; }
usual=$(cat /proc/sys/net/ipv4/tcp_congestion_control)

# The line: what one end sends comes out at the other, later, or not at all.
cat >"$dir/line.py" <<'PY'
import collections, fcntl, os, random, select, struct, sys, time
delay, loss = float(sys.argv[1]) / 1000, float(sys.argv[2]) / 100
def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH", name.encode(), 0x1001))  # TUNSETIFF: TUN, no packet information
    return fd
near, far = tun("near"), tun("far")
print("ready", flush=True)
random.seed(1)
queue = {near: collections.deque(), far: collections.deque()}  # by where it goes
other = {near: far, far: near}
while True:
    due = min((q[0][0] for q in queue.values() if q), default=None)
    wait = None if due is None else max(0, due - time.monotonic())
    ready, _, _ = select.select([near, far], [], [], wait)
    for fd in ready:
        for _ in range(64):
            try:
                packet = os.read(fd, 2048)
            except BlockingIOError:
                break
            if fd == far and len(packet) > 500 and random.random() < loss:
                continue
            queue[other[fd]].append((time.monotonic() + delay, packet))
    now = time.monotonic()
    for fd, q in queue.items():
        while q and q[0][0] <= now:
            try:
                os.write(fd, q.popleft()[1])
            except (BlockingIOError, OSError):
                pass
PY
# line RATE LOSS lays it.
line() {
  [ -z "${lain:-}" ] || { kill "$lain"; wait "$lain" 2>/dev/null || true; }
  "${first[@]}" python3 "$dir/line.py" 15 "$2" >"$dir/line.ready" & lain=$!; jobs+=("$lain")
  for ((i = 0; i < 100; i++)); do grep -q ready "$dir/line.ready" && break; sleep 0.05; done
  ip link set far netns server
  ip addr add 198.51.100.1 peer 198.51.100.2 dev near; ip link set near mtu 1500 txqueuelen 2000 up
  ip -n server addr add 198.51.100.2 peer 198.51.100.1 dev far; ip -n server link set far mtu 1500 txqueuelen 2000 up
  tc -n server qdisc replace dev far root tbf rate "$1" burst 32kb latency 50ms
}

# The package: an image, which has no signature of its own, so that none is needed here.
mkdir "$dir/site" "$dir/content"
id=0a1b2c3d-0000-4000-8000-00000000beef
package() { # MB
  { printf 'MSWIM\0\0\0'; head -c "$(($1 << 20))" /dev/zero | openssl enc -aes-128-ctr -pass pass:updoc -nosalt -pbkdf2 2>/dev/null; } >"$dir/content/new"
  one=$(sha1sum "$dir/content/new" | cut -d' ' -f1)
  file=windows11.0-kb5099001-x64_$one.msu
  mv "$dir/content/new" "$dir/content/$file"
  cat >"$dir/site/ScopedViewInline.aspx" <<HTML
<html><body><span id="ScopedViewHandler_titleText">An update (KB5099001)</span><span id="ScopedViewHandler_date">1/13/2026</span>
<div><span id="ScopedViewHandler_labelArchitecture_Separator">Architecture:</span> AMD64</div><div><span id="ScopedViewHandler_labelSupportedProducts_Separator">Products:</span> Windows 11</div>
<div id="kbDiv"><span id="ScopedViewHandler_labelKBArticle_Separator">KB:</span> 5099001</div><div id="supersededbyInfo">n/a</div></body></html>
HTML
  cat >"$dir/site/DownloadDialog.aspx" <<HTML
<script>downloadInformation[0].updateID = '$id';
downloadInformation[0].files[0].url = 'https://catalog.s.download.windowsupdate.com/$file';
downloadInformation[0].files[0].digest = '$(printf %s "$one" | tr a-f A-F | fold -w2 | sed 's/^/\\x/' | tr -d '\n' | xargs -0 printf %b | base64)';</script>
HTML
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout "$dir/key.pem" -out "$dir/cert.pem" -subj /CN=bench \
  -addext "subjectAltName=DNS:www.catalog.update.microsoft.com,DNS:catalog.s.download.windowsupdate.com" 2>/dev/null
cat >"$dir/nginx.conf" <<CONF
daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log warn; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off; sendfile on; default_type text/html;
  client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
  ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
  types { application/octet-stream msu; }
  server { listen 443 ssl; server_name www.catalog.update.microsoft.com; root $dir/site; error_page 405 =200 \$uri; }
  server { listen 443 ssl; server_name catalog.s.download.windowsupdate.com; root $dir/content; }
}
CONF
# serve CONGESTION: sockets keep the algorithm that was set when they were made.
serve() {
  [ -z "${nginx:-}" ] || { kill "$nginx"; wait "$nginx" 2>/dev/null || true; }
  congestion "$1"
  "${first[@]}" ip netns exec server nginx -c "$dir/nginx.conf" & nginx=$!; jobs+=("$nginx")
  sleep 0.5
}
echo "198.51.100.2 www.catalog.update.microsoft.com catalog.s.download.windowsupdate.com" >"$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts
echo "hosts: files" >"$dir/nsswitch.conf"; mount --bind "$dir/nsswitch.conf" /etc/nsswitch.conf

# round FILE COMMAND...: wall time of a command, in milliseconds.
round() {
  local out=$1 begin=${EPOCHREALTIME/./}; shift
  "${first[@]}" "$@" >"$dir/said" 2>&1 || { cat "$dir/said"; return 1; }
  echo $(((${EPOCHREALTIME/./} - begin) / 1000)) >>"$out"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%d", v[int((NR + 1) / 2)] }'; }

# race NAME MB LEAST: LEAST percent of curl's speed is asked for.
race() {
  local u c ratio
  package "$2"; rm -f "$dir"/*.times
  for ((i = 0; i < rounds; i++)); do
    rm -rf "$dir/kit" "$dir/out"
    round "$dir/curl.times" curl -q -sS -f --cacert "$dir/cert.pem" -o "$dir/out" "https://catalog.s.download.windowsupdate.com/$file"
    round "$dir/updoc.times" env -i PATH="$PATH" HOME=/ "$dir/updoc" catalog download "$id" -o "$dir/kit" --trust "$dir/cert.pem"
    cmp "$dir/out" "$dir/kit/KB5099001/$file"
  done
  rm -rf "$dir/kit" "$dir/out" "$dir/content/$file"
  u=$(median "$dir/updoc.times") c=$(median "$dir/curl.times") ratio=$((c * 100 / u))
  printf '%-38s %4d MB: updoc %d.%02d s, curl %d.%02d s, %d.%02d of its throughput (median of %d)\n' "$1" "$2" \
    $((u / 1000)) $((u % 1000 / 10)) $((c / 1000)) $((c % 1000 / 10)) $((ratio / 100)) $((ratio % 100)) "$rounds"
  ((ratio >= $3)) || { echo "less than $3 % of curl's throughput"; return 1; }
}
status=0
line 100mbit 0
serve "$usual"; race "100 Mbit/s, 30 ms, clean ($usual)" 128 95 || status=1
line 100mbit 0.3
serve reno; race "100 Mbit/s, 30 ms, 0.3 % lost (reno)" 16 100 || status=1
exit $status
