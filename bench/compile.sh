#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What a program costs to compile that includes one component whole, or one of its headers, and calls one function:
# user seconds and the compiler's peak memory with -O2, medians of three, beside a program that only includes
# <Eigen/Core>. CXX is respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install_packages.sh
install_packages g++ pkg-config libeigen3-dev nlohmann-json3-dev time
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compile() {  # name, includes, body
  { printf '#include "hone/%s"\n' $2; printf '#include <vector>\nint main() {\n%s\n}\n' "$3"; } >"$work/main.cpp"
  [ "$1" != Eigen/Core ] || printf '#include <Eigen/Core>\nint main() {}\n' >"$work/main.cpp"
  for _ in 1 2 3; do
    /usr/bin/time -f '%U %M' ${CXX:-g++} -std=c++20 -O2 -Iinclude $(pkg-config --cflags eigen3) "$work/main.cpp" \
      -o "$work/main" 2>&1
  done | sort -n | awk -v name="$1" 'NR == 2 { printf "| %s | %.1f | %d |\n", name, $1, $2 / 1024 }'
}
combine='std::vector<float> f(9, 1.0f), r(9, 2.0f), out(9);
hone::gradient::combine(hone::gradient::sago{}, hone::gradient::tasks(f, r), out);
return out[0] > 0 ? 0 : 1;'
likelihood='std::vector<float> z(12, 1.0f);
const std::vector<std::int32_t> y = {1, 2, 3};
return hone::loss::likelihood(hone::matrix_view<float>(z.data(), 3, 4), y).count == 3 ? 0 : 1;'
advantage='const std::vector<double> rewards = {1, 0, 0, 1};
const std::vector<hone::index_t> groups = {0, 2, 4};
std::vector<double> a(4);
hone::policy::group_advantages(hone::policy::grpo{}, rewards, groups, a);
return a[0] > a[1] ? 0 : 1;'
tensors='return hone::io::read_safetensors("model.safetensors").tensors.empty() ? 1 : 0;'
echo "| program | user s | MiB |"
echo "|---|---|---|"
compile Eigen/Core "" ""
compile 'gradient: combine by SAGO' gradient.hpp "$combine"
compile 'the same, from gradient/sago.hpp and combine.hpp' 'gradient/sago.hpp gradient/combine.hpp' "$combine"
compile 'loss: likelihood' loss.hpp "$likelihood"
compile 'policy: advantages of groups' policy.hpp "$advantage"
compile 'io: safetensors' io.hpp "$tensors"
compile 'the same, from io/safetensors.hpp' io/safetensors.hpp "$tensors"
