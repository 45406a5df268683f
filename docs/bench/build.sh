#!/bin/sh
# Builds updoc as releases are built: docs/bench/build.sh OUT [-X main.version=...]
# GOOS and GOARCH say for what.
#
# What is not on the way of much data is not inlined: that makes the program three
# megabytes smaller and a diagnosis no slower. What reads logs is. Functions begin at
# 16 bytes and not at 32: half a megabyte less, and no slower either. HTTP/2 is left out
# of net/http: every client and server here speaks HTTP/1.1, as Windows Update does.
set -eu
out=$1; shift
hot="runtime/... internal/runtime/... internal/bytealg bytes unicode/... hash/maphash slices time updoc/internal/winlog/... updoc/internal/facts/... updoc/internal/codes/..."
flags=-gcflags=all=-l
for p in $hot; do flags="$flags -gcflags=$p="; done
# shellcheck disable=SC2086 # the flags are words
CGO_ENABLED=0 exec go build -tags nethttpomithttp2 -trimpath -buildvcs=false -ldflags "-s -w -buildid= -funcalign=16 $*" $flags -o "$out" .
