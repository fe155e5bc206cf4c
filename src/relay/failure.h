/* Kinds of failures on the way to a relay server, for those that act on them; the words are said beside. */
#ifndef WEIR_RELAY_FAILURE_H
#define WEIR_RELAY_FAILURE_H

enum relay_failure {
	RELAY_FAILURE_NONE,
	RELAY_FAILURE_NETWORK,	   /* refused, reset, no way there; before the login */
	RELAY_FAILURE_UNANSWERED,  /* not even the connection was answered */
	RELAY_FAILURE_NAME,	   /* its name does not resolve */
	RELAY_FAILURE_TUNNEL,	   /* the way there leads into our own tunnel */
	RELAY_FAILURE_TLS,	   /* certificate, name or pin, or it speaks no TLS */
	RELAY_FAILURE_HTTP,	   /* the server or a proxy refuses the upgrade */
	RELAY_FAILURE_CREDENTIALS, /* we have neither secret nor token */
	RELAY_FAILURE_LOGIN,	   /* closed without a word after the login */
	RELAY_FAILURE_EXPIRED,	   /* the same, and our token is past its end */
	RELAY_FAILURE_REPLACED,	   /* it was up, and closed soon after each login: another host with our key */
	RELAY_FAILURE_SILENT,	   /* it was up, and answered nothing any more */
	RELAY_FAILURE_ENDED,	   /* it was up, and the server or the way closed it */
};

#endif
