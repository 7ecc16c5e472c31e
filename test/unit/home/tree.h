/* Copying a golden directory, so that a test may open it. */
#pragma once

#include "../unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static inline void file_copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(in >= 0 && out >= 0);
    u8 buffer[4096];
    ssize_t n;
    while ((n = read(in, buffer, sizeof(buffer))) > 0) {
        assert_int_equal(write(out, buffer, (size_t)n), n);
    }
    assert_int_equal(n, 0);
    close(in);
    close(out);
}

static inline void tree_copy(const char *from, const char *to)
{
    assert_int_equal(mkdir(to, 0755), 0);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char source[600];
        char target[600];
        struct stat st;
        size_t source_bytes =
            (size_t)snprintf(source, sizeof(source), "%s/%s", from, entry->d_name);
        size_t target_bytes = (size_t)snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);
        assert_true(source_bytes < sizeof(source) && target_bytes < sizeof(target));
        assert_int_equal(stat(source, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            tree_copy(source, target);
        } else {
            file_copy(source, target);
        }
    }
    closedir(dir);
}
