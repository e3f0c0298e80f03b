// Compiled without exceptions, for the same function on the same types.
#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include <vector>

void aborts() {
  std::vector<float> a(3);
  (void)hone::gradient::tasks(std::span<float>(a), std::span<float>(a));
}
