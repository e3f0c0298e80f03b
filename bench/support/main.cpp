// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Every benchmark in one program, and its table. Google Benchmark's own flags apply (--benchmark_filter=…,
/// --benchmark_out=FILE for JSON); its console format does not.
#include <benchmark/benchmark.h>

#include <cstdio>

namespace {

class table : public benchmark::BenchmarkReporter {
  bool ReportContext(const Context& context) override {
    std::printf("%d cores of %.0f MHz;", context.cpu_info.num_cpus, context.cpu_info.cycles_per_second / 1e6);
    for (const auto& cache : context.cpu_info.caches)
      std::printf(" L%d%s %d KiB", cache.level,
                  cache.type == "Data"      ? "d"
                  : cache.type == "Unified" ? ""
                                            : "i",
                  cache.size >> 10);
    std::printf(
        "\nmedians; spread: interquartile range over median; roof: the pass of the same shape, timed in turn\n");
    std::printf("%-52s %10s %8s %10s %15s %8s %7s\n", "", "ms", "spread", "work", "rate", "roof", "% roof");
    return true;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const std::string name = run.run_name.function_name + (run.run_name.args.empty() ? "" : "/" + run.run_name.args);
      if (run.error_occurred) {
        std::printf("%-52s %s\n", name.c_str(), run.error_message.c_str());
        continue;
      }
      const auto value = [&](const char* counter) { return run.counters.at(counter).value; };
      if (run.counters.contains("roof"))
        std::printf("%-52s %10.4g %6.1f %% %8.3g G%s %8.3g G%s/s %8.3g %7.1f\n", name.c_str(), value("ms"),
                    value("spread"), value("work"), run.report_label.c_str(), value("rate"), run.report_label.c_str(),
                    value("roof"), value("percent"));
      else
        std::printf("%-52s %10.4g  %s\n", name.c_str(),
                    1e3 * run.real_accumulated_time / static_cast<double>(run.iterations), run.report_label.c_str());
      std::fflush(stdout);
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  table rows;
  return benchmark::RunSpecifiedBenchmarks(&rows) == 0 ? 1 : 0;
}
