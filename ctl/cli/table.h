// Table: rows of text in columns, aligned by spaces.

#ifndef CTL_CLI_TABLE_H_
#define CTL_CLI_TABLE_H_

#include <string>
#include <utility>
#include <vector>

namespace tunnel::ctl::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> heading);

  // As many cells as the heading has; one byte is taken as one place.
  void AddRow(std::vector<std::string> cells);
  // Shows `painted` for a cell of the last row; its own width still counts.
  void PaintLast(size_t column, std::string painted);
  // The columns from `first` on are aligned to the right.
  void AlignRight(size_t first) { right_from_ = first; }

  // Two spaces between columns, none at the end of a line.
  std::string Text() const;

 private:
  struct Cell {
    std::string text;
    std::string shown;
  };
  std::vector<std::vector<Cell>> rows_;
  std::vector<size_t> widths_;
  size_t right_from_ = static_cast<size_t>(-1);
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_TABLE_H_
