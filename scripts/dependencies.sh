# Sourced by ./demo, ./test and the benchmarks: installs the Debian packages that are missing, and
# nothing when none is. Works as root, and with sudo.
#
#   need_packages build            what `cmake --preset release` needs
#   need_packages build test       and what ./test needs

packages_build="cmake ninja-build gcc libc6-dev pkg-config libdnnl-dev libjansson-dev libmicrohttpd-dev
  libsqlite3-dev libzstd-dev zlib1g-dev nettle-dev"
packages_demo="curl"
packages_test="libcmocka-dev clang clang-format libclang-rt-14-dev libomp-dev g++ curl sqlite3"
packages_peers="python3 python3-venv"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
if [ ! -t 2 ]; then say() { printf '%s\n' "$*" >&2; }; fi

have_package() {
  dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -q '^installed$'
}

need_packages() {
  local set_name name list missing=""
  for set_name in "$@"; do
    list="packages_$set_name"
    for name in ${!list}; do have_package "$name" || missing="$missing $name"; done
  done
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "These Debian packages (or what your system calls them) are needed:$missing" >&2
    return 1
  fi
  local as_root=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root, or install sudo; missing:$missing" >&2; return 1; }
    as_root="sudo"
  fi
  say "Installing:$missing"
  $as_root apt-get update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# Debian's cmake, whatever else the PATH holds; ccache where it is.
cmake_command=/usr/bin/cmake
configure() { # preset [cmake arguments]
  local preset="$1"
  shift
  set -- -G Ninja "$@"
  if command -v ccache >/dev/null; then set -- "$@" -DCMAKE_C_COMPILER_LAUNCHER=ccache; fi
  [ -x "$cmake_command" ] || cmake_command=cmake
  "$cmake_command" --preset "$preset" "$@" >"/tmp/garam-configure.$$" 2>&1 || {
    cat "/tmp/garam-configure.$$" >&2
    rm -f "/tmp/garam-configure.$$"
    return 1
  }
  rm -f "/tmp/garam-configure.$$"
}
build() { # preset [targets]
  local preset="$1" log status=0
  shift
  log="$(mktemp)"
  "$cmake_command" --build --preset "$preset" ${1:+--target "$@"} >"$log" 2>&1 || status=$?
  [ $status -eq 0 ] || cat "$log" >&2
  rm -f "$log"
  return $status
}
