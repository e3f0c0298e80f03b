#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# On every compiler each header is compiled once: alone, included twice, warnings being errors, without exceptions and
# RTTI where that is promised. The first compiler's table says what that costs beside <Eigen/Core>: lines after
# preprocessing and peak memory, which have limits, and user seconds. All headers together are one unit, with
# exceptions; two such units link. No header writes min( or max(, far or emit, which other people's macros would
# replace.
. tests/checks/common.sh
export first=${CXX:-g++} work warnings includes
flags_of() {
  case $1 in */openmp.hpp | */torch.hpp) echo -fopenmp ;; esac
  case $1 in
    */io/* | */io.hpp | */eval/* | */eval.hpp | */torch.hpp | */tbb.hpp) ;;
    *) echo "-fno-exceptions -fno-rtti" ;;
  esac
}
# What may be included, in percent of Eigen/Core's lines and memory; what is above a component's folder has no limit.
limits_of() {  # header, its preprocessed text
  reads() { grep -q "/$1\"" "$2"; }
  case ${1#include/hone/} in
    core/thread_pool.hpp | distributed/threads.hpp) echo "50 70" ;;  # <thread>
    core/simd_random.hpp) echo "31 50" ;;  # draws one by one, and in registers
    core/*) echo "30 50" ;;  # 21 of the lines are <stdexcept> alone
    io/identify_model.hpp) echo "118 285" ;;  # the readers of models, which alone take 277 %
    io/*)
      if ! reads nlohmann/json.hpp "$2"; then echo "88 185"
      elif reads Eigen/Core "$2"; then echo "155 275"
      else echo "118 270"; fi ;;
    interop/*) echo "1000 1000" ;;  # what their libraries cost
    transformer/adapter_start.hpp) echo "126 190" ;;  # the decoder, its experts and taps, and RILA's solvers
    routing/probe_loss.hpp | routing/probe_training.hpp) echo "54 85" ;;  # draws, heads and gradient's optimisers
    policy/recipe*) echo "50 95" ;;  # a variant of every advantage and surrogate
    */*) if reads Eigen/Core "$2"; then echo "125 185"; else echo "50 85"; fi ;;
    *) echo "1000 1000" ;;
  esac
}
check() {  # compiler header
  local unit=$work/$(tr -c 'a-z0-9\n' _ <<<"$1 $2") flags lines memory seconds most_lines most_memory
  flags=$(flags_of "$2")
  printf '#include "%s"\n#include "%s"\n' "${2#include/}" "${2#include/}" >"$unit.cpp"
  local compile=($1 -std=c++20 $warnings $includes $flags "$unit.cpp")
  if [ "$1" != "$first" ]; then
    "${compile[@]}" -fsyntax-only || { echo "$1 $flags $2"; return 1; }
    return
  fi
  /usr/bin/time -f '%M %U' -o "$unit.cost" "${compile[@]}" -fsyntax-only || { echo "$1 $flags $2"; return 1; }
  "${compile[@]}" -E >"$unit.text"
  lines=$(grep -cvE '^#|^[[:space:]]*$' "$unit.text")
  read -r memory seconds <"$unit.cost"
  printf '%-46s %7d %5d%% %7d %5d%% %8s\n' "$2" "$lines" $((100 * lines / eigen_lines)) $((memory / 1024)) \
    $((100 * memory / eigen_memory)) "$seconds"
  read -r most_lines most_memory <<<"$(limits_of "$2" "$unit.text")"
  rm "$unit.text"
  if ((100 * lines > most_lines * eigen_lines || 100 * memory > most_memory * eigen_memory)); then
    echo "$2: over its limits, $most_lines% of the lines and $most_memory% of the memory of Eigen/Core"
    return 1
  fi
}
export -f check flags_of limits_of
headers=$(headers_that_compile)
for header in $headers; do
  if sed 's|//.*||' "$header" | grep -nE '(^|[^(:_[:alnum:]])(std::)?(min|max) *\(|[.:](min|max) *\('; then
    echo "$header: write (min)(a, b) and (max)(a, b)"
    exit 1
  fi
  # Macros of windows.h (far, near, small, interface), of Qt (emit, slots, signals, foreach, forever), of complex.h (I).
  if sed 's|//.*||; s/"[^"]*"//g' "$header" |
    grep -nwE 'far|near|small|hyper|interface|pascal|cdecl|IN|OUT|emit|slots|signals|foreach|forever|I'; then
    echo "$header: a name that is a macro in other people's headers"
    exit 1
  fi
done
echo '#include <Eigen/Core>' >"$work/eigen.cpp"
/usr/bin/time -f '%M %U' -o "$work/cost" $first -std=c++20 $includes -fopenmp -fsyntax-only "$work/eigen.cpp"
read -r eigen_memory seconds <"$work/cost"
eigen_lines=$($first -std=c++20 $includes -fopenmp -E "$work/eigen.cpp" | grep -cvE '^#|^[[:space:]]*$')
export eigen_lines eigen_memory
printf '%-46s %7s %6s %7s %6s %8s\n' header lines "" MB "" "user s" Eigen/Core "$eigen_lines" 100% \
  $((eigen_memory / 1024)) 100% "$seconds"
# The headers of LibTorch and TBB define functions that want their libraries.
echo "$headers" | grep -v '/torch.hpp\|/tbb.hpp' | sed 's/include\/\(.*\)/#include "\1"/' >"$work/all.cpp"
(cat "$work/all.cpp"; echo 'int main() {}') >"$work/other.cpp"
for compiler in $(compilers); do
  echo "$headers" | xargs -P "$(nproc)" -I{} bash -c "check $compiler {}"
  $compiler -std=c++20 $includes -fopenmp -c "$work/all.cpp" -o "$work/all.o"
  if [ "$compiler" = "$first" ]; then
    $compiler -std=c++20 $includes -fopenmp "$work/other.cpp" "$work/all.o" -o "$work/all"
  fi
  echo "$compiler: $(echo "$headers" | wc -l) headers"
done
