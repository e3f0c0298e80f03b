# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Debian packages that a script needs. Where none is missing nothing is asked of the network; where there is no dpkg
# they are taken to be there, and what builds says what is not.
#   install_packages PACKAGE…       installs those that are missing, or says what to run and exits with 1
#   try_packages PACKAGE…           the same, but says what is missing and returns 1
install_packages() { try_packages "$@" || exit 1; }
try_packages() {
  local missing=() package sudo=""
  command -v dpkg-query >/dev/null || return 0
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *'ok installed'* ]] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; else
      echo "Packages are missing, and only root may install them: sudo apt-get install ${missing[*]}" >&2
      return 1
    fi
  fi
  echo "Installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { $sudo apt-get update -q && $sudo apt-get install -q -y --no-install-recommends "${missing[@]}"; } >/dev/null ||
    { echo "Could not install: ${missing[*]}" >&2; return 1; }
}
