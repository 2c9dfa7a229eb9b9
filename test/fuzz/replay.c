/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Gives the files of directories to a fuzz target, without libFuzzer.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"

/* The file that is being given, for the message when the target stops */
static const char *volatile current = "";

/* The sanitizers too are to end with SIGABRT. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "abort_on_error=1";
}

/* Only what a signal handler may do */
static void
tell_current(int signal)
{
	static const char head[] = "the input was: ";

	(void) signal;
	if (write(STDERR_FILENO, head, strlen(head)) < 0 ||
		write(STDERR_FILENO, current, strlen(current)) < 0 ||
		write(STDERR_FILENO, "\n", 1) < 0)
		return;
}

static void
fail(const char *name)
{
	fprintf(stderr, "%s: %s\n", name, strerror(errno));
	exit(2);
}

static void
replay(const char *name)
{
	FILE	   *file = fopen(name, "rb");
	uint8_t    *data;
	long		size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
		fail(name);
	rewind(file);
	/* A block of just this size, for the address sanitizer */
	data = malloc(size > 0 ? size : 1);
	if (fread(data, 1, size, file) != (size_t) size)
		fail(name);
	fclose(file);

	current = name;
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static int
replay_directory(const char *name)
{
	DIR		   *dir = opendir(name);
	struct dirent *entry;
	int			files = 0;

	if (dir == NULL)
		fail(name);
	while ((entry = readdir(dir)) != NULL)
	{
		char		path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
		replay(path);
		files++;
	}
	closedir(dir);
	return files;
}

int
main(int argc, char **argv)
{
	signal(SIGABRT, tell_current);
	for (int i = 1; i < argc; i++)
	{
		int			files = replay_directory(argv[i]);

		printf("%s: %d inputs\n", argv[i], files);
		if (files == 0)
			return 2;
	}
	return argc > 1 ? 0 : 2;
}
