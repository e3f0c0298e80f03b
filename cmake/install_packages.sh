# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# install_packages PACKAGE…: makes sure that Debian packages are there. Where none is missing nothing is asked of the
# network; where they cannot be installed, names them and exits with 1.
install_packages() {
  local missing=() package sudo=""
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *'ok installed'* ]] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; else
      echo "Missing packages, and no right to install them: ${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "Installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if ! { $sudo apt-get update -q &&
    $sudo apt-get install -q -y --no-install-recommends "${missing[@]}"; } >/dev/null; then
    echo "Could not install: ${missing[*]}" >&2
    exit 1
  fi
}
