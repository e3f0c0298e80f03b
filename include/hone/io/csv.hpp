// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Comma-separated values with a header row [RFC 4180]: fields that hold commas, quotes or line breaks are in quotes,
/// and a quote in them is doubled. Lines end in CRLF or LF.
#pragma once
#include "hone/io/file.hpp"

namespace HONE_NAMESPACE::io {

struct csv_row {
  std::uint64_t line;  ///< where it begins, from 1: a field in quotes may go over several
  std::vector<std::string> fields;
};

/// What a file holds.
struct csv_table {
  std::string file;
  std::vector<std::string> header;
  std::vector<csv_row> rows;  ///< each with as many fields as the header

  /// Where rows have the field that the header calls @p name. @throws format_error if it has no such column, with the
  /// first of those that it has.
  [[nodiscard]] std::size_t column(std::string_view name) const {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end()) {
      std::string names;
      for (std::size_t i = 0; i < header.size() && i < 8; ++i)
        names += (i > 0 ? ", \"" : "\"") + short_text(header[i]) + '"';
      throw format_error(file, {},
                         "no column \"" + std::string(name) + "\", but " + names + (header.size() > 8 ? ", ..." : ""));
    }
    return static_cast<std::size_t>(found - header.begin());
  }
};

namespace detail {

/// Takes rows from the front of a text.
class csv_cursor {
 public:
  csv_cursor(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  [[noreturn]] void fail(std::uint64_t line, const std::string& reason) const {
    throw format_error(file_, {position::unit::line, line}, reason);
  }
  /// Passes over empty lines; whether a row follows.
  bool more() {
    while (end_line()) {
    }
    return !text_.empty();
  }
  csv_row take_row() {
    csv_row row{line_, {}};
    for (;;) {
      row.fields.push_back(text_.starts_with('"') ? take_quoted() : take_plain());
      if (text_.empty() || end_line()) return row;
      if (!text_.starts_with(','))
        fail(line_, text_.front() == '\r' ? "a carriage return without a line feed"
                    : text_.front() == '"'  // only a plain field ends there
                        ? "a quote inside a field that does not begin with one"
                        : "text follows the closing quote of a field");
      text_.remove_prefix(1);
    }
  }

 private:
  bool end_line() {
    if (!text_.starts_with('\n') && !text_.starts_with("\r\n")) return false;
    text_.remove_prefix(text_.front() == '\r' ? 2 : 1);
    ++line_;
    return true;
  }
  std::string take_plain() {
    const std::string_view field = text_.substr(0, text_.find_first_of(",\r\n\""));
    text_.remove_prefix(field.size());
    return std::string(field);
  }
  std::string take_quoted() {
    const std::uint64_t opened = line_;
    std::string field;
    do {
      text_.remove_prefix(1);  // the opening quote, or the second of two
      const std::size_t end = text_.find('"');
      if (end == std::string_view::npos) fail(opened, "a field's quote that opens here is not closed");
      line_ +=
          static_cast<std::uint64_t>(std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
      field += text_.substr(0, end + 1);
      text_.remove_prefix(end + 1);
    } while (text_.starts_with('"'));
    field.pop_back();
    return field;
  }

  std::string_view text_;
  const std::string& file_;
  std::uint64_t line_ = 1;
};

}  // namespace detail

/// Parses a text; @p file is what errors call it. The first row is the header. Empty lines are passed over, as is a
/// byte-order mark; the last line may have no end. Bytes that are no UTF-8 are kept.
/// @throws format_error with the line, unless the text is as described above, every row has as many fields as the
///         header, and no two columns have one name; if there is no header, or a byte-order mark of UTF-16.
/// @note One pass; memory is up to 32 times the text's, for fields of no letter.
inline csv_table parse_csv(std::string_view text, const std::string& file) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    throw format_error(file, {}, "the text is UTF-16, not UTF-8");
  detail::csv_cursor in(text, file);
  if (!in.more()) throw format_error(file, {}, "no header row");
  csv_row first = in.take_row();
  csv_table table{file, std::move(first.fields), {}};
  std::vector<std::string_view> names(table.header.begin(), table.header.end());
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    in.fail(first.line, "the column \"" + std::string(*twice) + "\" appears twice");
  while (in.more()) {
    csv_row row = in.take_row();
    if (row.fields.size() != table.header.size())
      in.fail(row.line, "a row of " + std::to_string(row.fields.size()) +
                            (row.fields.size() == 1 ? " field" : " fields") + ", the header has " +
                            std::to_string(table.header.size()) +
                            (table.header.size() == 1 ? ", \"" + short_text(table.header[0]) + '"' : ""));
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// Reads a file. @throws std::system_error, format_error.
inline csv_table read_csv(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_csv(text_of(bytes), path.string());
}

}  // namespace HONE_NAMESPACE::io
