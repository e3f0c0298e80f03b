// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The reference vectors of RILA and of the orthogonal loss: beta 0.7, epsilon 1e-4, rank 2, scale 2, basis of 2.
#pragma once
#include "hone/linalg/dense.hpp"

namespace g3 {

using hone::linalg::matrix;

inline const matrix forget{{1, 2, 0, 1}, {.5, 1.5, -1, 0}, {2, 1, .5, -.5}};
inline const matrix retain{{1, 0, 1, 0}, {0, 1, 2, 1}};
inline const matrix weight{{1, 2, 3}, {0, 1, -1}, {2, 0, 1}, {-1, 1, .5}};
inline const matrix delta{
    {.17496, .475, -.3, 0}, {.475, .37496, -.8, -.2}, {-.3, -.8, -1.62504, -.725}, {0, -.2, -.725, -.22504}};
// Printed in ascending order of the eigenvalues.
inline const double values[4] = {-2.19848888257, -.177373821229, .0573718967275, 1.01833080707};
inline const matrix b{
    {.00296514, .54723742}, {-.19565239, .77441824}, {-.30862074, -.31225135}, {.93084080, .05750383}};
inline const matrix a{{-1.54511714, .74111868, .36134746}, {-.13476909, 1.92639691, .58379460}};
inline const matrix left{{1.15666435, -.11278800, 2.35890861},
                         {-.39587644, -1.69367052, -1.76280538},
                         {.96212595, 1.66048924, 1.58761994},
                         {1.89201561, -.60127738, -.23985476}};
inline const matrix projector{{.29947759, .42321051, -.17179072, .03422832},
                              {.42321051, .63800347, -.18143075, -.13758922},
                              {-.17179072, -.18143075, .19274766, -.30523242},
                              {.03422832, -.13758922, -.30523242, .86977128}};
inline constexpr double trace = 1.0757027038;
inline const matrix basis{
    {.85355339, .14644661}, {-.35355339, .35355339}, {.14644661, .85355339}, {-.35355339, .35355339}};
inline const double retain_values[2] = {.585886437627, 3.41431356237};
inline constexpr double loss = .119371658105;
inline const matrix gradient{
    {-.51745687, .24876943}, {.21180126, -.01378335}, {-.09385434, .22120273}, {.21180126, -.01378335}};
inline const double half_values[4] = {-1.43869062341, -.0231452603785, .210921472709, 1.75091441108};

}  // namespace g3
