// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The TOFU table of a model, from the benchmark's own evaluation logs of it and of a model that was retrained without
/// what it should forget.
#include "hone/io/tofu_log.hpp"
#include "support/files.hpp"
#include "support/program.hpp"
#include "support/tofu_table.hpp"

#include <CLI/CLI.hpp>

namespace {

using namespace hone;

program::tofu_table table_of(const io::tofu_log& log) {
  using enum eval::tofu_part;
  program::tofu_table table;
  table.add(retain, log.retain);
  table.add(real_authors, log.real_authors);
  table.add(world_facts, log.world_facts);
  table.add(forget, log.forget);
  return table;
}

}  // namespace

int main(int argc, char** argv) {
  std::string model_file, retain_file, json_file;
  CLI::App app(
      "The TOFU table of a model, from its evaluation log and that of a model retrained without what it should "
      "forget.",
      "tofu_report");
  app.add_option("--model", model_file, "its eval_log_aggregated.json")->required();
  app.add_option("--retain", retain_file, "eval_log_aggregated.json of the retrained model")->required();
  app.add_option("--json", json_file, "where the result goes, as one object");
  CLI11_PARSE(app, argc, argv);

  return program::run("tofu_report", [&] {
    program::require_outputs({{"--json", json_file}}, {model_file, retain_file});
    const io::tofu_log model = io::read_tofu_log(model_file), retrained = io::read_tofu_log(retain_file);
    const program::tofu_table of_model = table_of(model), of_retrained = table_of(retrained);
    of_model.print("model");
    of_retrained.print("retrained without");
    program::write_json(json_file, {{"config", {{"model", model_file}, {"retain", retain_file}}},
                                    {"model", of_model.sets()},
                                    {"retain", of_retrained.sets()},
                                    {"model_utility", of_model.model_utility()},
                                    {"retain_model_utility", of_retrained.model_utility()},
                                    {"forget_quality", program::print_forget_quality(model.forget, retrained.forget)}});
    return 0;
  });
}
