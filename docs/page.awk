# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Doxygen's filter of docs/*.md: pages and headings get names from file and text, and links go to these, so that a link
# that leads nowhere is a warning, and so is one to a file that is no page. Names of files are therefore unique.
function name_of(path) { sub(/.*\//, "", path); sub(/\.md$/, "", path); return path }
function slug_of(text) { text = tolower(text); gsub(/[^a-z0-9_ -]/, "", text); gsub(/ /, "-", text); return text }
FNR == 1 { page = name_of(FILENAME); fence = 0 }
/^[ \t]*```/ { fence = !fence }
fence { print; next }
/^# / { print $0 " {#page_" page "}"; next }
/^##+ / {
  heading = $0
  sub(/^#+ /, "", heading)
  print $0 " {#" page "_" slug_of(heading) "}"
  next
}
{
  rest = $0
  gsub(/\]\(\.\.\/images\//, "](", rest)
  line = ""
  while (match(rest, /\]\(([a-z0-9_.\/]+\.(md|[hc]pp|cuh|sh|py|txt))?(#[a-z0-9_-]+)?\)/)) {
    target = substr(rest, RSTART + 2, RLENGTH - 3)
    line = line substr(rest, 1, RSTART - 1)
    rest = substr(rest, RSTART + RLENGTH)
    at = index(target, "#")
    to = at == 1 ? page : name_of(at ? substr(target, 1, at - 1) : target)
    line = line (target == "" ? "]()" : "](@ref " (at ? to "_" substr(target, at + 1) : "page_" to) ")")
  }
  print line rest
}
