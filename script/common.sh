# What every script begins with; sourced, not run. Sets `name`, `root` and `cache`, finds cargo, and makes
# a bare environment usable: no terminal, no inherited settings that would change what is tested.
# shellcheck shell=bash
exec </dev/null
export LC_ALL=C.UTF-8
export PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"

name=${0##*/}
say() { printf '%s: %s\n' "$name" "$*"; }
die() {
	printf '%s: error: %s\n' "$name" "$1" >&2
	shift
	for line in "$@"; do printf '  %s\n' "$line" >&2; done
	exit 1
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$(realpath -m "${MAINSTAY_LAB_CACHE:-/var/cache/mainstay-lab}")
export MAINSTAY_LAB_CACHE=$cache

# Settings of the caller's shell would be answers to questions that the scripts and the tests ask.
for variable in "${!MAINSTAY_@}"; do
	[ "$variable" = MAINSTAY_LAB_CACHE ] || unset "$variable"
done
for variable in "${!COMPOSE_@}" "${!DOCKER_@}"; do unset "$variable"; done
unset REGISTRY APP_TAG PG_TAG NGINX_TAG APP_PORT PG_PORT HTTPS_PORT POSTGRES_PASSWORD

if [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ]; then PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"; fi
cd "$root" || exit
command -v cargo >/dev/null || die 'cargo is not installed, or not in PATH' \
	'Install Rust with rustup, as https://www.rust-lang.org/tools/install says; rust-toolchain.toml names the version.'
