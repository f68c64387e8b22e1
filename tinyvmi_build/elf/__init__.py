"""ELF files of 64-bit x86: kernels, modules, memory dumps, our own images.

An ELF file begins with a header that says where two tables lie.  *Program headers* describe segments, what a
loader puts into memory; *section headers* describe sections, what linkers and debuggers work with.  Sections
have names, which lie in a section of their own; some are tables themselves: of symbols, of relocations.

`reader` reads all of these, `notes` the notes in them.  DWARF is pyelftools' (tinyvmi_build/kernel/dwarf.py).
"""
