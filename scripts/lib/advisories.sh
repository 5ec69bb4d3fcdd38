#!/usr/bin/env bash
# Known vulnerabilities of what the program is made of. To be read with `source`.

# Where a copy of RustSec's advisories may lie, for machines that cannot fetch them. ADVISORIES_COPY names another,
# which is then used in any case.
advisories_copy=${ADVISORIES_COPY:-../shared/advisory-db}
# The directory by which cargo-deny knows that list.
ADVISORIES_NAME=advisory-db-3157b0e258782691

install_cargo_deny() {
    if ! cargo deny --version >/dev/null 2>&1; then
        # Unoptimised: it runs for seconds, and an optimised build takes several times as long.
        CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
            cargo install --locked --no-default-features cargo-deny
    fi
}

# Checks against the list of today, or against the copy. Sets `advisories_date`, empty when nothing was checked.
check_advisories() {
    local deny=(cargo deny --locked)
    advisories_date=
    if [ -z "${ADVISORIES_COPY:-}" ] && timeout 120 "${deny[@]}" --config .config/deny.toml fetch db >/dev/null 2>&1; then
        "${deny[@]}" --offline --config .config/deny.toml check advisories
        advisories_date=$(date -u +%F)
        return
    fi
    local stated=
    if [ -f "$advisories_copy/README.md" ]; then
        stated=$(grep -Eo -m 1 '[0-9]{4}-[0-9]{2}-[0-9]{2}' "$advisories_copy/README.md" || true)
    fi
    if [ -z "$stated" ]; then
        echo "NOT CHECKED: known vulnerabilities. The list cannot be fetched from here, and ADVISORIES_COPY names no copy of it."
        return
    fi
    lay_out_advisories "$stated"
    "${deny[@]}" --offline --config "$advisories_config" check advisories
    advisories_date=$stated
}

# The copy as cargo-deny wants it: a repository, and a configuration that names where it is.
lay_out_advisories() {
    local dated=$1 root repository
    root=$(realpath -m "${CARGO_TARGET_DIR:-target}")/advisories
    repository=$root/$ADVISORIES_NAME
    advisories_config=$root/deny.toml
    rm -rf "$root"
    mkdir -p "$repository"
    cp -r "$advisories_copy/crates" "$repository/"
    chmod -R u+w "$repository"
    local git=(git -C "$repository" -c user.name=copy -c user.email=copy@localhost -c commit.gpgsign=false)
    "${git[@]}" init -q -b main
    "${git[@]}" add -A
    GIT_AUTHOR_DATE="${dated}T00:00:00Z" GIT_COMMITTER_DATE="${dated}T00:00:00Z" "${git[@]}" commit -q -m "state of $dated"
    # cargo-deny takes the age of a list from when it was fetched.
    "${git[@]}" rev-parse HEAD >"$repository/.git/FETCH_HEAD"
    touch -d "${dated}T00:00:00Z" "$repository/.git/FETCH_HEAD"
    sed "s|^\[advisories\]\$|&\ndb-path = \"$root\"\nmaximum-db-staleness = \"P10Y\"|" .config/deny.toml >"$advisories_config"
}

# How old the list is that was checked against, in days.
advisories_age() {
    echo $((($(date -u +%s) - $(date -u -d "$advisories_date" +%s)) / 86400))
}
