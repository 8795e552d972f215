# The Debian packages Lathe needs (Debian 12; 13 has them all too) and how to install them.
# Sourced by quickstart and check.

# What the `lathe` tool needs.
build_packages=(
  g++ cmake ninja-build ccache pkg-config
  llvm-19-dev
  libxsimd-dev libfmt-dev nlohmann-json3-dev libcli11-dev
  libhdf5-dev libutf8proc-dev libre2-dev libzip-dev zlib1g-dev
  libjpeg-dev libpng-dev libwebp-dev libtiff-dev libopenjp2-7-dev
  graphviz
)

# What tests and benchmarks need besides.
check_packages=(doctest-dev libbenchmark-dev clang-format-19 python3 libonnx-testdata)

# install_packages PACKAGE...: installs those that are missing, with sudo where not root. Where that
# is impossible it names them and fails.
install_packages() {
  local package missing=() as_root=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  ((${#missing[@]} == 0)) && return 0
  if ! command -v apt-get >/dev/null; then
    echo "This is not Debian; please install what it calls: ${missing[*]}" >&2
    return 1
  fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "Please install as root: apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "Installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}
