// Compiled with exceptions: misuse is caught.
#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include <cstdio>
#include <vector>

void aborts();

int main() {
  std::vector<float> a(3), b(4);
  bool caught = false;
  try {
    (void)hone::gradient::tasks(std::span<float>(a), std::span<float>(b));
  } catch (const std::invalid_argument&) {
    caught = true;
  }
  aborts();
  std::puts(caught ? "caught" : "not caught");
  return caught ? 0 : 1;
}
