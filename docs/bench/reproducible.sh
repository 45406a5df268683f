#!/usr/bin/env bash
# Builds the release files twice, in two different folders, and compares them.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/src"
git ls-files -z | xargs -0 cp --parents -t "$dir/src"
for place in a some/other/place; do
  mkdir -p "$dir/$place/out" && cp -r "$dir/src" "$dir/$place/src"
  for target in linux/amd64 windows/amd64 windows/arm64; do
    (cd "$dir/$place/src" && GOOS=${target%/*} GOARCH=${target#*/} GOFLAGS=-mod=readonly \
      ./docs/bench/build.sh "../out/updoc-${target/\//-}" -X "main.version=${VERSION:-0.1.0}")
  done
  (cd "$dir/$place/out" && sha256sum updoc-* >../sums); rm -r "$dir/$place/src"
done
cat "$dir/a/sums"
cmp "$dir/a/sums" "$dir/some/other/place/sums" && echo "both builds are the same"
