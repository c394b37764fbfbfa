/* SPDX-License-Identifier: MIT */
/* alloc.h - memory, as the public weir/alloc.h says; for every room. */
#ifndef WEIR_KERNEL_ALLOC_H
#define WEIR_KERNEL_ALLOC_H

#include <stddef.h>

/* size > 0.  NULL: no memory. */
void *weir_alloc_(size_t size) __attribute__((malloc));
/* n * size bytes of zeros. */
void *weir_zalloc_(size_t n, size_t size) __attribute__((malloc));
/* NULL is ignored. */
void weir_free_(void *p);

#endif
