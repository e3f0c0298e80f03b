// Refused, or a flag that changes nothing.
#if defined(WITH_PRAGMA)
#pragma GCC optimize("fast-math")
#endif
#include "hone/core/flags.hpp"
