# Cross toolchain for the preset aarch64: Debian's gcc-aarch64-linux-gnu, and the arm64 packages of Debian's multiarch for
# libraries (cmocka, and the libc that emulated programs run on: a child of fork hangs in the cross packages' older one).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
