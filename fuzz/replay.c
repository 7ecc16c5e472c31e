/* Runs a harness over the files of a folder, without libFuzzer: the corpora are unit tests. A
   property that does not hold ends the process, as in the fuzzer; the last file named is the one.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 4 << 20 };

static bool replay(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    u8 *bytes = mem_alloc(FILE_MAX);
    size_t size = fread(bytes, 1, FILE_MAX, file);
    fclose(file);
    printf("%s\n", name);
    fflush(stdout);
    /* A buffer of its own size, so that the sanitizers see its end. */
    u8 *exact = mem_alloc(size);
    memcpy(exact, bytes, size);
    mem_free(bytes);
    LLVMFuzzerTestOneInput(exact, size);
    mem_free(exact);
    return true;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: replay FOLDER\n");
        return 2;
    }
    u32 count = 0;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        count += entry->d_name[0] != '.' && replay(argv[1], entry->d_name);
    }
    closedir(folder);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
