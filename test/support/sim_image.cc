#include "support/sim_image.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace johnny::sim {
namespace {

constexpr Byte kZeros[FileImage::kBlock] = {};

bool AllZeros(const Byte* bytes) { return std::memcmp(bytes, kZeros, FileImage::kBlock) == 0; }

}  // namespace

Hash128 HashOf(const void* data, size_t size) {
  XXH128_hash_t hash = XXH3_128bits(data, size);
  return {hash.low64, hash.high64};
}

void FileImage::StoreBlock(uint64_t index, const Byte* bytes) {
  if (AllZeros(bytes)) {
    blocks_[index] = nullptr;
    return;
  }
  auto block = std::make_shared<Block>();
  std::memcpy(block->bytes, bytes, kBlock);
  block->hash = HashOf(bytes, kBlock);
  blocks_[index] = std::move(block);
}

void FileImage::Resize(uint64_t size) {
  bool shrinks = size < size_;
  size_ = size;
  blocks_.resize((size + kBlock - 1) / kBlock);
  if (shrinks && size % kBlock != 0 && blocks_.back() != nullptr) {
    Byte bytes[kBlock] = {};
    std::memcpy(bytes, blocks_.back()->bytes, size % kBlock);
    StoreBlock(blocks_.size() - 1, bytes);
  }
}

void FileImage::Write(uint64_t offset, Slice bytes) {
  if (offset + bytes.size() > size_) {
    Resize(offset + bytes.size());
  }
  while (!bytes.empty()) {
    uint64_t index = offset / kBlock;
    size_t within = offset % kBlock;
    size_t piece = std::min<size_t>(bytes.size(), kBlock - within);
    Byte block[kBlock];
    std::memcpy(block, blocks_[index] == nullptr ? kZeros : blocks_[index]->bytes, kBlock);
    std::memcpy(block + within, bytes.data(), piece);
    StoreBlock(index, block);
    offset += piece;
    bytes.remove_prefix(piece);
  }
}

void FileImage::CopyTo(Byte* to) const {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i] != nullptr) {
      std::memcpy(to + i * kBlock, blocks_[i]->bytes, std::min(kBlock, size_ - i * kBlock));
    }
  }
}

std::string FileImage::Read(uint64_t offset, size_t size) const {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size && offset + i < size_; ++i) {
    const auto& block = blocks_[(offset + i) / kBlock];
    bytes[i] = block == nullptr ? '\0' : static_cast<char>(block->bytes[(offset + i) % kBlock]);
  }
  return bytes;
}

Hash128 FileImage::Hash() const {
  std::vector<Hash128> hashes(blocks_.size() + 1);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i] != nullptr) {
      hashes[i] = blocks_[i]->hash;
    }
  }
  hashes.back() = {size_, 0};
  return HashOf(hashes.data(), hashes.size() * sizeof(Hash128));
}

Hash128 DiskImage::Hash() const {
  std::string all;
  std::map<int, Hash128> known;
  for (const auto& [name, file] : names) {
    auto [at, fresh] = known.try_emplace(file);
    if (fresh) {
      at->second = files.at(file).Hash();
    }
    all.append(name).push_back('\0');
    all.append(reinterpret_cast<const char*>(&at->second), sizeof(Hash128));
  }
  return HashOf(all.data(), all.size());
}

}  // namespace johnny::sim
