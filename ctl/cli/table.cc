#include "ctl/cli/table.h"

#include <algorithm>

namespace tunnel::ctl::cli {

Table::Table(std::vector<std::string> heading) : widths_(heading.size(), 0) {
  AddRow(std::move(heading));
}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(widths_.size());
  std::vector<Cell> row;
  for (size_t i = 0; i < cells.size(); ++i) {
    widths_[i] = std::max(widths_[i], cells[i].size());
    row.push_back({cells[i], cells[i]});
  }
  rows_.push_back(std::move(row));
}

void Table::PaintLast(size_t column, std::string painted) {
  rows_.back().at(column).shown = std::move(painted);
}

std::string Table::Text() const {
  std::string text;
  for (const std::vector<Cell>& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths_[i] - row[i].text.size(), ' ');
      if (i > 0) line += "  ";
      line +=
          i >= right_from_ ? padding + row[i].shown : row[i].shown + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace tunnel::ctl::cli
