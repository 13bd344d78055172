/*  clients - the processes that the kill tests kill: producers and consumers that note everything
    in the journal.
*/
#ifndef KILL_CLIENTS_H
#define KILL_CLIENTS_H

//  Runs as the client that argv says: PROGRAM "client" ROLE INDEX JOURNAL-FD PROGRESS-FD. ROLE is
//  "producer" (INDEX from 1) or "consumer" (INDEX from 0; members of a group in turn). Exit code 0
//  when all was confirmed or durably settled.
int
kill_client_main(char **argv);

#endif
