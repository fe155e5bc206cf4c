/* Where things are unless an option says otherwise. */
#ifndef WEIR_CMD_PATHS_H
#define WEIR_CMD_PATHS_H

#define PATH_RUN   "/run/weir"
#define PATH_UAPI  "/run/wireguard"
#define PATH_STATE "/var/lib/weir"

#endif
