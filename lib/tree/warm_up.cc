#include "tree/warm_up.h"

#include <algorithm>
#include <vector>

#include "base/status.h"

namespace johnny::tree {
namespace {

constexpr size_t kWindow = 1024;  // pages that are read ahead of the one that is looked at
constexpr PageNumber kGap = 8;    // pages that are read along rather than asked for around

// Has a window of pages, sorted by place, read in as few requests as that takes.
void Prefetch(const pager::View& view, os::File* file, absl::Span<const ChildRef> refs) {
  for (size_t i = 0; i < refs.size();) {
    PageNumber first = refs[i].page;
    PageNumber end = first + 1;
    for (++i; i < refs.size() && refs[i].page < end + kGap; ++i) {
      end = refs[i].page + 1;
    }
    if (first < view.page_count()) {
      file->Prefetch(first * view.page_size(), (std::min(end, view.page_count()) - first) * view.page_size());
    }
  }
}

}  // namespace

absl::Status WarmUp(const pager::View& view, os::File* file, const TableRecord& record, uint64_t max_pages, uint64_t* pages) {
  *pages = 0;
  if (record.empty() || max_pages == 0) {
    return absl::OkStatus();
  }
  std::vector<ChildRef> refs = {record.root};
  std::vector<ChildRef> below;
  for (uint32_t level = record.level;; --level) {
    std::sort(refs.begin(), refs.end(), [](const ChildRef& a, const ChildRef& b) { return a.page < b.page; });
    absl::Span<const ChildRef> all(refs);
    below.clear();
    Prefetch(view, file, all.subspan(0, kWindow));
    for (size_t i = 0; i < all.size(); ++i) {
      if (i % kWindow == 0 && i + kWindow < all.size()) {
        Prefetch(view, file, all.subspan(i + kWindow, kWindow));
      }
      const Byte* page = view.Resolve(all[i], level);
      if (page == nullptr) {
        return view.TakeError();
      }
      const uint64_t taken = *pages + refs.size();
      for (uint32_t child = 0; level > 0 && child < node::Header(page)->count && taken + below.size() < max_pages; ++child) {
        below.push_back(node::GetChild(page, child));
      }
      if (taken + below.size() > view.page_count()) {
        return CorruptPage(all[i].page, "pages are referred to more than once: the tree has more of them than the file");
      }
    }
    *pages += refs.size();
    if (level == 0 || *pages == max_pages) {
      return absl::OkStatus();
    }
    std::swap(refs, below);
  }
}

}  // namespace johnny::tree
