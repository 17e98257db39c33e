/*
 * Loaded before a program: answers for /dev/udmabuf and /dev/dma_heap, which most kernels of servers lack. A buffer is a
 * memory file; nobody but this process looks into it, so nothing has to be kept in step.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

typedef int (*opener)(const char *, int, ...);

static int answered(const char *name, const char *path, int flags, int mode)
{
	if (!strcmp(path, "/dev/udmabuf") || !strncmp(path, "/dev/dma_heap/", strlen("/dev/dma_heap/")))
		return memfd_create("device", MFD_CLOEXEC);
	return ((opener)dlsym(RTLD_NEXT, name))(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	int mode = va_arg(rest, int);
	va_end(rest);
	return answered("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	int mode = va_arg(rest, int);
	va_end(rest);
	return answered("open64", path, flags, mode);
}

int ioctl(int descriptor, unsigned long request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *value = va_arg(rest, void *);
	va_end(rest);
	if (request == UDMABUF_CREATE)
		return fcntl(((struct udmabuf_create *)value)->memfd, F_DUPFD_CLOEXEC, 3);
	if (request == DMA_HEAP_IOCTL_ALLOC) {
		struct dma_heap_allocation_data *wanted = value;
		wanted->fd = memfd_create("buffer", MFD_CLOEXEC);
		return ftruncate(wanted->fd, wanted->len);
	}
	if (request == DMA_BUF_IOCTL_SYNC || request == DMA_BUF_SET_NAME_A || request == DMA_BUF_SET_NAME_B)
		return 0;
	return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(descriptor, request, value);
}
