#include "relay/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "relay/wire.h"

bool relay_proxy_parse(struct relay_proxy *p, const char *text)
{
	struct relay_proxy proxy = {0};
	struct relay_url url;
	char as_url[RELAY_URL_MAX];
	const char *at;

	if (!strncasecmp(text, "http://", 7))
		text += 7;
	at = strrchr(text, '@');
	if (at) {
		if ((size_t)(at - text) >= sizeof(proxy.user))
			return false;
		memcpy(proxy.user, text, (size_t)(at - text));
		text = at + 1;
	}
	/* HOST[:PORT] as in a relay's URL, whose default port is a proxy's too. */
	if ((size_t)snprintf(as_url, sizeof(as_url), "rel://%s", text) >= sizeof(as_url) ||
	    !relay_url_parse(&url, as_url))
		return false;
	memcpy(proxy.host, url.host, sizeof(proxy.host));
	proxy.port = url.port;
	*p = proxy;
	return true;
}

static bool named(const char *name, size_t len, const char *host)
{
	size_t host_len = strlen(host);

	if (len && *name == '.') {
		name++;
		len--;
	}
	if (!len || len > host_len || strncasecmp(host + host_len - len, name, len) != 0)
		return false;
	return len == host_len || host[host_len - len - 1] == '.';
}

bool relay_proxy_exempt(const char *list, const char *host)
{
	while (*list) {
		size_t skip = strspn(list, ", \t"), len;

		list += skip;
		len = strcspn(list, ", \t");
		if ((len == 1 && *list == '*') || named(list, len, host))
			return true;
		list += len;
	}
	return false;
}

static const char *environment(const char *lower, const char *upper)
{
	const char *value = getenv(lower);

	if (!value || !*value)
		value = getenv(upper);
	return value && *value ? value : NULL;
}

bool relay_proxy_choose(struct relay_proxy *p, const char *configured, const char *host, bool tls)
{
	const char *from = configured, *exempt;

	*p = (struct relay_proxy){0};
	if (!from) {
		/* Upper-case HTTP_PROXY is no danger here: we are no CGI program. */
		from = tls ? environment("https_proxy", "HTTPS_PROXY")
			   : environment("http_proxy", "HTTP_PROXY");
		exempt = environment("no_proxy", "NO_PROXY");
		if (!from || (exempt && relay_proxy_exempt(exempt, host)))
			return true;
	}
	return relay_proxy_parse(p, from);
}
