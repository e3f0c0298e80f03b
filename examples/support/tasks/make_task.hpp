// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Tasks by name.
#pragma once
#include <memory>
#include <stdexcept>

#include "support/tasks/chain.hpp"
#include "support/tasks/countdown.hpp"
#include "support/tasks/tree.hpp"

namespace tasks {

/// @throws std::runtime_error for another name, and as the task's constructor.
inline std::unique_ptr<task> make_task(std::string_view name, const task_options& options = {}) {
  if (name == "chain") return std::make_unique<chain>(options);
  if (name == "countdown") return std::make_unique<countdown>(options);
  if (name == "tree") return std::make_unique<tree>(options);
  throw std::runtime_error("no task is called \"" + std::string(name) + "\"");
}

}  // namespace tasks
