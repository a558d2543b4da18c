/* A training-like step over MPI: step SCHEDULE STEPS. Connections are opened by a step of short messages; then rank 0
 * prints "hosts NAME ..." and for each step "step PHASE MS PHASE MS ...": from the first rank that begins a phase to
 * the last that ends it, by the one clock that all ranks of this machine share. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PHASES = 16, SENDS = 4096, NAME = 64, NAP_US = 200, SHORT = 65536 };

struct phase {
    char name[NAME];
    MPI_Comm ring;
    int floats;
    float *from, *to;
    int sends, sources[SENDS], targets[SENDS], sizes[SENDS]; /* those that this rank sends or receives */
    char *data[SENDS];
};

static struct phase phases[PHASES];
static int count, rank, ranks;

static void fail(const char *why) {
    fprintf(stderr, "step: %s\n", why);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void add_ring(struct phase *p, char *words) {
    int members[SENDS], n = 0, mine = 0;
    int bytes = atoi(strtok(words, " \n"));
    for (char *w = strtok(NULL, " \n"); w; w = strtok(NULL, " \n")) {
        members[n] = atoi(w);
        mine |= members[n++] == rank;
    }
    if (!mine)
        return;
    MPI_Group world, group;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, n, members, &group);
    MPI_Comm_create_group(MPI_COMM_WORLD, group, count, &p->ring);
    p->floats = bytes / 4;
    if (p->floats < n)
        fail("a ring needs a float a member");
    p->from = calloc(p->floats, 4);
    p->to = calloc(p->floats, 4);
}

static void add_send(struct phase *p, char *words) {
    int source, target, size;
    if (sscanf(words, "%d %d %d", &source, &target, &size) != 3)
        fail("a send is SOURCE TARGET BYTES");
    if (source != rank && target != rank)
        return;
    if (p->sends == SENDS)
        fail("too many sends");
    p->sources[p->sends] = source;
    p->targets[p->sends] = target;
    p->sizes[p->sends] = size;
    p->data[p->sends++] = calloc(size, 1);
}

static void read_schedule(const char *path) {
    static char line[1 << 16];
    FILE *file = fopen(path, "r");
    if (!file)
        fail("no schedule");
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "phase ", 6)) {
            if (count == PHASES)
                fail("too many phases");
            sscanf(line + 6, "%63s", phases[count].name);
            phases[count++].ring = MPI_COMM_NULL;
        } else if (!strncmp(line, "allreduce ", 10))
            add_ring(&phases[count - 1], line + 10);
        else if (!strncmp(line, "send ", 5))
            add_send(&phases[count - 1], line + 5);
    }
    fclose(file);
}

/* Ranks sleep while they wait: Open MPI's own waiting spins, and with more ranks than cores that starves the very
 * queues that shape the links. */
static void wait_all(int n, MPI_Request *requests) {
    for (int done = 0; MPI_Testall(n, requests, &done, MPI_STATUSES_IGNORE) == MPI_SUCCESS && !done;)
        usleep(NAP_US);
}

static void barrier(void) {
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    wait_all(1, &request);
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static int least(int a, int b) { return a < b ? a : b; }

/* Messages of up to so many bytes. */
static void run(struct phase *p, int most) {
    static MPI_Request requests[SENDS];
    for (int i = 0; i < p->sends; i++)
        if (p->targets[i] == rank)
            MPI_Irecv(p->data[i], least(p->sizes[i], most), MPI_CHAR, p->sources[i], 0, MPI_COMM_WORLD, &requests[i]);
    for (int i = 0; i < p->sends; i++)
        if (p->sources[i] == rank)
            MPI_Isend(p->data[i], least(p->sizes[i], most), MPI_CHAR, p->targets[i], 0, MPI_COMM_WORLD, &requests[i]);
    wait_all(p->sends, requests);
    if (p->ring != MPI_COMM_NULL) {
        MPI_Iallreduce(p->from, p->to, least(p->floats, most / 4), MPI_FLOAT, MPI_SUM, p->ring, requests);
        wait_all(1, requests);
    }
}

int main(int argc, char **argv) {
    char host[NAME] = "", *hosts;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc != 3)
        fail("usage: step SCHEDULE STEPS");
    read_schedule(argv[1]);
    gethostname(host, NAME - 1);
    hosts = calloc(ranks, NAME);
    MPI_Gather(host, NAME, MPI_CHAR, hosts, NAME, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("hosts");
        for (int r = 0; r < ranks; r++)
            printf(" %s", hosts + r * NAME);
        printf("\n");
    }
    for (int p = 0; p < count; p++)
        run(&phases[p], SHORT);
    for (int s = 0; s < atoi(argv[2]); s++) {
        double begin[PHASES], end[PHASES], first[PHASES], last[PHASES];
        for (int p = 0; p < count; p++) {
            barrier();
            begin[p] = now_ms();
            run(&phases[p], INT_MAX);
            end[p] = now_ms();
        }
        barrier();
        MPI_Reduce(begin, first, count, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
        MPI_Reduce(end, last, count, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
        if (rank == 0) {
            printf("step");
            for (int p = 0; p < count; p++)
                printf(" %s %.3f", phases[p].name, last[p] - first[p]);
            printf("\n");
        }
    }
    MPI_Finalize();
    return 0;
}
