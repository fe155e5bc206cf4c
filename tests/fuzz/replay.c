/* Runs a fuzz target over files: the corpus in `make check`, a crashing input by hand. FUZZ_CORPUS is the
 * default. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(1 << 20);
	size_t size;

	if (!f || !data) {
		perror(path);
		free(data);
		return 1;
	}
	size = fread(data, 1, 1 << 20, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static int run_path(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	char file[4096];
	int bad = 0;

	if (!d)
		return run_file(path);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		bad |= run_file(file);
	}
	closedir(d);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = argc < 2 ? run_path(FUZZ_CORPUS) : 0;

	for (int i = 1; i < argc; i++)
		bad |= run_path(argv[i]);
	return bad;
}
