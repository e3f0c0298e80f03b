#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The ways in: find_package after install, add_subdirectory, FetchContent, pkg-config. Each builds and runs one program.
# What is installed goes elsewhere than it was configured for.
. tests/checks/common.sh
root=$PWD
export CMAKE_GENERATOR=Ninja
cat >"$work/main.cpp" <<'CPP'
#include "hone/core/blas.hpp"
#include "hone/version.hpp"
#include <vector>
#ifdef PACKAGE_VERSION
static_assert(PACKAGE_VERSION == HONE_VERSION);
#endif
int main() { return hone::sum(std::vector<float>(10, 1.0f)) == 10 ? 0 : 1; }
CPP
cmake -S . -B "$work/hone" -DHONE_BUILD_TESTS=OFF -DCMAKE_INSTALL_PREFIX="$work/elsewhere" >"$work/log"
cmake --install "$work/hone" --prefix "$work/prefix" >>"$work/log"

consumer() {  # name, CMake line
  mkdir "$work/$1"
  cp "$work/main.cpp" "$work/$1"
  cat >"$work/$1/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
$2
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE hone::$3)
if(TARGET test_main)
  message(FATAL_ERROR "hone builds its tests inside another project")
endif()
END
  cmake -S "$work/$1" -B "$work/$1/build" -DCMAKE_PREFIX_PATH="$work/prefix" >>"$work/log" 2>&1 &&
    cmake --build "$work/$1/build" >>"$work/log" 2>&1 && "$work/$1/build/consumer" ||
      { cat "$work/log"; echo "$1: failed"; exit 1; }
  echo "$1: works"
}
version=$(sed -n 's/^#define HONE_VERSION //p' include/hone/version.hpp)
required=$((version / 10000)).$((version / 100 % 100))
consumer find_package "find_package(hone $required REQUIRED COMPONENTS core)"'
math(EXPR version "10000 * ${hone_VERSION_MAJOR} + 100 * ${hone_VERSION_MINOR} + ${hone_VERSION_PATCH}")
add_compile_definitions(PACKAGE_VERSION=${version})' core
consumer find_package_eigen 'find_package(hone REQUIRED COMPONENTS core hone io xtensor)' io
for component in mpi torch; do
  if [ -n "$(find "$work/prefix" -name hone-$component.cmake)" ]; then
    consumer find_package_$component "find_package(hone REQUIRED COMPONENTS $component)" $component
  else
    echo "skipped: find_package_$component (its library is not there)"
  fi
done
consumer add_subdirectory "add_subdirectory($root hone)" hone
consumer fetch_content "include(FetchContent)
FetchContent_Declare(hone SOURCE_DIR $root)
FetchContent_MakeAvailable(hone)" hone
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name hone.pc)")
${CXX:-g++} -std=c++20 "$work/main.cpp" $(pkg-config --cflags hone) -o "$work/consumer"
"$work/consumer" && echo "pkg-config: works"
# What is not there is named.
not_found() {  # components, text
  mkdir -p "$work/not_found"
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES CXX)\nfind_package(hone %s)\n' "$1" \
    >"$work/not_found/CMakeLists.txt"
  if cmake -S "$work/not_found" -B "$work/not_found/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" 2>&1 ||
    ! tr -s ' \n' ' ' <"$work/log" | grep -qF "$2"; then
    cat "$work/log"
    echo "find_package(hone $1) does not fail with: $2"
    exit 1
  fi
}
not_found 'REQUIRED COMPONENTS core nonsense' 'no component "nonsense"; it has core, hone, io, xtensor, mpi, torch'
rm "$(find "$work/prefix" -name hone-xtensor.cmake)"
not_found 'REQUIRED COMPONENTS xtensor' 'installed without xtensor'
if cmake -S "$work/find_package" -B "$work/missing" -DCMAKE_PREFIX_PATH="$work/nowhere" >/dev/null 2>&1; then
  echo "find_package finds hone where it is not"
  exit 1
fi
