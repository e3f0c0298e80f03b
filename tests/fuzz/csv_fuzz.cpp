// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a table whose rows are as long as its header, on lines of the text that follow each other, or a
/// format_error that names one of its lines; a table survives writing and reading.
#include "hone/io/csv.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

namespace {

std::string written(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) {
    line += line.empty() ? "\"" : ",\"";
    for (const char c : field) line += c == '"' ? std::string("\"\"") : std::string(1, c);
    line += '"';
  }
  return line + "\r\n";
}

}  // namespace

FUZZ(input) {
  read_or_refused(input.lines(), [&] {
    const csv_table table = parse_csv(input.text(), "fuzz");
    std::string text = written(table.header);
    std::uint64_t line = 0;
    for (const csv_row& row : table.rows) {
      require(row.fields.size() == table.header.size() && row.line > line && row.line <= input.lines());
      line = row.line;
      text += written(row.fields);
    }
    for (std::size_t i = 0; i < table.header.size(); ++i) require(table.column(table.header[i]) == i);
    const csv_table again = parse_csv(text, "again");
    require(again.header == table.header && again.rows.size() == table.rows.size());
    for (std::size_t i = 0; i < again.rows.size(); ++i) require(again.rows[i].fields == table.rows[i].fields);
  });
}
