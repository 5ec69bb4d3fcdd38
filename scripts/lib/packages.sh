#!/usr/bin/env bash
# Debian packages that the scripts need, installed when they are missing. To be read with `source`.

# Installs what is missing of PROGRAM:PACKAGE…, and says so on standard error, which no result is read from.
# A file stands for a package without programs.
install_packages() {
    local missing=() sudo=() entry
    for entry in "$@"; do
        case "$entry" in
            /*) [ -e "${entry%%:*}" ] || missing+=("${entry#*:}") ;;
            *) command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}") ;;
        esac
    done
    if [ "${#missing[@]}" = 0 ]; then
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "$0: neither root nor sudo; install these packages by hand: ${missing[*]}" >&2
            return 1
        fi
        sudo=(sudo)
    fi
    echo "$0: installing ${missing[*]}" >&2
    "${sudo[@]}" apt-get update -qq >&2
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Installs what a build of the tests and measurements needs beside Rust, and the packages named.
install_for_build() {
    # Compiler and protoc are of no use without what they only recommend.
    install_packages cc:gcc /usr/include/stdlib.h:libc6-dev protoc:protobuf-compiler \
        /usr/include/google/protobuf/descriptor.proto:libprotobuf-dev "$@"
}
