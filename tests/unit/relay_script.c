#include "relay_script.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/xalloc.h"

enum opcode { CONTINUATION = 0, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static void drop(struct script_connection *c)
{
	SSL_free(c->tls);
	c->tls = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* As the calls of the same name, by TLS or not; -1 with EAGAIN where it would wait. */
static ssize_t write_to(struct script_connection *c, const void *bytes, size_t len)
{
	int n;

	if (!c->tls)
		return send(c->fd, bytes, len, MSG_NOSIGNAL);
	n = SSL_write(c->tls, bytes, (int)len);
	if (n > 0)
		return n;
	errno = SSL_get_error(c->tls, n) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
	return -1;
}

static ssize_t read_from(struct script_connection *c, void *bytes, size_t len)
{
	int n, error;

	if (!c->tls)
		return recv(c->fd, bytes, len, MSG_DONTWAIT);
	n = SSL_read(c->tls, bytes, (int)len);
	if (n > 0)
		return n;
	error = SSL_get_error(c->tls, n);
	errno = EAGAIN;
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void send_bytes(struct script_connection *c, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	ssize_t n;

	while (len) {
		n = write_to(c, at, len);
		if (n < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){.fd = c->fd, .events = POLLOUT}, 1, 100);
			continue;
		}
		if (n < 0)
			return; /* the reading side will notice */
		at += n;
		len -= (size_t)n;
	}
}

static void send_frame(struct script_connection *c, enum opcode op, bool final, const void *data, size_t len)
{
	uint8_t frame[4 + RELAY_MESSAGE_MAX];
	size_t head = 2;

	assert(len <= RELAY_MESSAGE_MAX);
	frame[0] = (uint8_t)((final ? 0x80 : 0) | op);
	if (len < 126) {
		frame[1] = (uint8_t)len;
	} else {
		frame[1] = 126;
		frame[2] = (uint8_t)(len >> 8);
		frame[3] = (uint8_t)len;
		head = 4;
	}
	memcpy(frame + head, data, len);
	send_bytes(c, frame, head + len);
}

static void say(struct script *s, struct script_connection *c, const void *message, size_t len)
{
	const uint8_t *bytes = message;

	if (s->fragment && len > 1) {
		send_frame(c, BINARY, false, bytes, len / 2);
		send_frame(c, CONTINUATION, true, bytes + len / 2, len - len / 2);
	} else {
		send_frame(c, BINARY, true, message, len);
	}
}

/* ---- what clients say ---- */

static struct script_connection *find(struct script *s, const uint8_t *id)
{
	for (int i = 0; i < SCRIPT_CONNECTIONS; i++) {
		struct script_connection *c = &s->connections[i];

		if (c->fd >= 0 && c->logged_in && !memcmp(c->id.bytes, id, RELAY_ID_LEN))
			return c;
	}
	return NULL;
}

static void announce(struct script *s, const struct script_connection *about, enum relay_type type)
{
	uint8_t message[64];
	int len = relay_put_list(message, sizeof(message), type, &about->id, 1);

	for (int i = 0; i < SCRIPT_CONNECTIONS; i++) {
		struct script_connection *c = &s->connections[i];

		if (c->fd >= 0 && c->logged_in && c != about)
			say(s, c, message, (size_t)len);
	}
}

static void log_in(struct script *s, struct script_connection *c, const struct relay_message *m)
{
	uint8_t out[300];
	char url[RELAY_URL_MAX];
	struct relay_id stranger;
	int len;

	memcpy(c->id.bytes, m->id, RELAY_ID_LEN);
	memcpy(s->token, m->data, m->len);
	s->token_len = m->len;
	if (s->ignore_logins) {
		s->ignore_logins--;
		return;
	}
	if (s->refuse_token) {
		drop(c);
		return;
	}
	if (s->overtake) {
		relay_id_of_text(&stranger, "stranger");
		len = relay_put_list(out, sizeof(out), RELAY_PEERS_ONLINE, &stranger, 1);
		say(s, c, out, (size_t)len);
		relay_put_transport(out, &stranger);
		memcpy(out + RELAY_TRANSPORT_LEN, "early", 5);
		say(s, c, out, RELAY_TRANSPORT_LEN + 5);
	}
	if (s->login_delay_ms)
		usleep((useconds_t)s->login_delay_ms * 1000);
	script_url(s, url);
	len = relay_put_auth_response(out, sizeof(out), url);
	say(s, c, out, (size_t)len);
	c->logged_in = true;
	s->logins++;
	announce(s, c, RELAY_PEERS_ONLINE);
	if (s->leave_at_login)
		say(s, c, "\x01\x04", 2);
	if (s->close_at_login || s->leave_at_login)
		drop(c);
}

static void answer_subscription(struct script *s, struct script_connection *c, const struct relay_message *m)
{
	uint8_t out[64];
	struct relay_id id;
	int len;

	s->subscribes++;
	for (size_t i = 0; i < m->count; i++) {
		memcpy(id.bytes, m->data + i * RELAY_ID_LEN, RELAY_ID_LEN);
		if (!find(s, id.bytes))
			continue;
		len = relay_put_list(out, sizeof(out), RELAY_PEERS_ONLINE, &id, 1);
		say(s, c, out, (size_t)len);
	}
}

static void take_message(struct script *s, struct script_connection *c, uint8_t *bytes, size_t len)
{
	struct script_connection *to;
	struct relay_message m;

	if (relay_parse(bytes, len, &m) != RELAY_OK)
		return;
	switch (m.type) {
	case RELAY_AUTH:
		log_in(s, c, &m);
		break;
	case RELAY_SUBSCRIBE:
		answer_subscription(s, c, &m);
		break;
	case RELAY_UNSUBSCRIBE:
		s->unsubscribes++;
		break;
	case RELAY_HEALTH_CHECK:
		s->health_echoes++;
		break;
	case RELAY_CLOSE:
		s->closes++;
		drop(c);
		announce(s, c, RELAY_PEERS_OFFLINE);
		break;
	case RELAY_TRANSPORT:
		to = find(s, m.id);
		if (!to)
			break;
		relay_put_transport(bytes, &c->id);
		say(s, to, bytes, len);
		break;
	default:
		break;
	}
}

/* ---- WebSocket, as far as a client of ours speaks it ---- */

static void begin_tls(struct script *s, struct script_connection *c)
{
	c->tls = SSL_new(s->tls);
	SSL_set_fd(c->tls, c->fd);
	SSL_set_accept_state(c->tls);
}

static void upgrade(struct script *s, struct script_connection *c)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	const char *key;
	char text[128], answer[300];
	unsigned char hash[EVP_MAX_MD_SIZE];
	size_t len;

	c->in[c->in_len < sizeof(c->in) ? c->in_len : sizeof(c->in) - 1] = '\0';
	if (!strstr((char *)c->in, "\r\n\r\n"))
		return;
	c->in_len = 0;
	if (s->proxy_status && !strncmp((char *)c->in, "CONNECT ", 8)) {
		snprintf(s->connect, sizeof(s->connect), "%s", (char *)c->in);
		snprintf(answer, sizeof(answer), "HTTP/1.1 %d As told\r\n\r\n", s->proxy_status);
		send_bytes(c, answer, strlen(answer));
		if (s->tls)
			begin_tls(s, c);
		return;
	}
	snprintf(s->request, sizeof(s->request), "%s", (char *)c->in);
	if (s->http_status) {
		snprintf(answer, sizeof(answer), "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n",
			 s->http_status);
		send_bytes(c, answer, strlen(answer));
		return;
	}
	key = strcasestr(s->request, "\r\nsec-websocket-key:");
	assert(key);
	key += strlen("\r\nsec-websocket-key:");
	key += strspn(key, " ");
	len = strcspn(key, "\r");
	snprintf(text, sizeof(text), "%.*s%s", (int)len, key, guid);
	EVP_Digest(text, strlen(text), hash, NULL, EVP_sha1(), NULL);
	EVP_EncodeBlock((unsigned char *)text, hash, 20);
	snprintf(answer, sizeof(answer),
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n\r\n",
		 text);
	send_bytes(c, answer, strlen(answer));
	c->upgraded = true;
}

/* The next whole frame of the buffer; false: there is none. A client sends every message in one. */
static bool take_frame(struct script *s, struct script_connection *c)
{
	uint8_t *in = c->in, *mask;
	size_t len, head = 6;
	enum opcode op;

	if (c->in_len < head)
		return false;
	op = in[0] & 15;
	assert((in[0] & 0x80) && (in[1] & 0x80)); /* one frame, masked */
	len = in[1] & 127;
	assert(len != 127);
	if (len == 126) {
		len = (size_t)in[2] << 8 | in[3];
		head = 8;
	}
	if (c->in_len < head + len)
		return false;
	mask = in + head - 4;
	for (size_t i = 0; i < len; i++)
		in[head + i] ^= mask[i % 4];
	if (op == BINARY) {
		uint8_t message[RELAY_MESSAGE_MAX];

		assert(len <= sizeof(message));
		memcpy(message, in + head, len);
		take_message(s, c, message, len);
	} else if (op == PING && !s->mute) {
		send_frame(c, PONG, true, in + head, len);
	}
	c->in_len -= head + len;
	memmove(in, in + head + len, c->in_len);
	return true;
}

static void serve(struct script *s, struct script_connection *c)
{
	if (c->ignored) { /* TLS is not begun, either */
		char byte;

		if (!recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK))
			drop(c);
		return;
	}
	ssize_t n = read_from(c, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(c);
		if (c->logged_in)
			announce(s, c, RELAY_PEERS_OFFLINE);
		return;
	}
	if (s->deaf)
		return;
	if (s->hang_up) {
		drop(c);
		return;
	}
	c->in_len += (size_t)n;
	if (!c->upgraded)
		upgrade(s, c);
	else
		while (c->fd >= 0 && take_frame(s, c))
			;
}

static void take_client(struct script *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

	if (fd < 0)
		return;
	s->accepted++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (int i = 0; i < SCRIPT_CONNECTIONS; i++) {
		struct script_connection *c = &s->connections[i];

		if (c->fd >= 0)
			continue;
		c->fd = fd;
		c->upgraded = c->logged_in = false;
		c->ignored = s->ignore > 0;
		s->ignore -= c->ignored;
		c->in_len = 0;
		if (s->tls && !s->proxy_status)
			begin_tls(s, c);
		return;
	}
	close(fd);
}

static void *run(void *arg)
{
	struct script *s = arg;
	struct pollfd fds[SCRIPT_CONNECTIONS + 1];

	for (;;) {
		pthread_mutex_lock(&s->lock);
		if (s->stop)
			break;
		take_client(s);
		for (int i = 0; i < SCRIPT_CONNECTIONS; i++)
			if (s->connections[i].fd >= 0)
				serve(s, &s->connections[i]);
		for (int i = 0; i < SCRIPT_CONNECTIONS; i++)
			fds[i] = (struct pollfd){.fd = s->connections[i].fd, .events = POLLIN};
		fds[SCRIPT_CONNECTIONS] = (struct pollfd){.fd = s->listener, .events = POLLIN};
		pthread_mutex_unlock(&s->lock);
		poll(fds, SCRIPT_CONNECTIONS + 1, 5); /* so that what a test changed is seen */
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void listen_at(struct script *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(s->port)};
	socklen_t len = sizeof(at);
	int on = 1, ok;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ok = bind(s->listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(s->listener, 64) == 0 &&
	     getsockname(s->listener, (struct sockaddr *)&at, &len) == 0;
	assert(ok);
	(void)ok;
	s->port = ntohs(at.sin_port);
}

static struct script *start(struct script *s)
{
	pthread_mutex_init(&s->lock, NULL);
	for (int i = 0; i < SCRIPT_CONNECTIONS; i++)
		s->connections[i].fd = -1;
	listen_at(s);
	pthread_create(&s->thread, NULL, run, s);
	return s;
}

struct script *script_new(void)
{
	return start(xcalloc(1, sizeof(struct script)));
}

/* ---- TLS ---- */

static X509 *make_certificate(const struct script_certificate *c, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *extension;
	char text[128];

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), c->from);
	X509_gmtime_adj(X509_getm_notAfter(cert), c->until);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	snprintf(text, sizeof(text), "%s%s", c->name ? "DNS:" : "IP:", c->name ? c->name : c->address);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	X509_sign(cert, key, EVP_sha256());
	return cert;
}

static void write_certificate(X509 *cert, struct script_certificate *c)
{
	unsigned char *der = NULL, hash[EVP_MAX_MD_SIZE];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der), fd;
	FILE *f;

	EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL);
	EVP_EncodeBlock((unsigned char *)c->pin, hash, 32);
	OPENSSL_free(der);
	snprintf(c->file, sizeof(c->file), "/tmp/weir-test-XXXXXX");
	fd = mkstemp(c->file);
	assert(fd >= 0);
	f = fdopen(fd, "w");
	PEM_write_X509(f, cert);
	fclose(f);
}

static int note_name(SSL *tls, int *alert, void *arg)
{
	struct script *s = arg;
	const char *name = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	snprintf(s->server_name, sizeof(s->server_name), "%s", name ? name : "");
	return SSL_TLSEXT_ERR_OK;
}

struct script *script_new_tls(struct script_certificate *c)
{
	struct script *s = xcalloc(1, sizeof(*s));
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_certificate(c, key);

	write_certificate(cert, c);
	snprintf(s->certificate_file, sizeof(s->certificate_file), "%s", c->file);
	s->tls = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(s->tls, cert);
	SSL_CTX_use_PrivateKey(s->tls, key);
	SSL_CTX_set_mode(s->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_tlsext_servername_callback(s->tls, note_name);
	SSL_CTX_set_tlsext_servername_arg(s->tls, s);
	X509_free(cert);
	EVP_PKEY_free(key);
	return start(s);
}

void script_free(struct script *s)
{
	script_set(s, stop, true);
	pthread_join(s->thread, NULL);
	for (int i = 0; i < SCRIPT_CONNECTIONS; i++)
		drop(&s->connections[i]);
	if (s->listener >= 0)
		close(s->listener);
	pthread_mutex_destroy(&s->lock);
	SSL_CTX_free(s->tls);
	if (s->certificate_file[0])
		unlink(s->certificate_file);
	free(s);
}

void script_url(const struct script *s, char out[RELAY_URL_MAX])
{
	snprintf(out, RELAY_URL_MAX, "%s://127.0.0.1:%u", s->tls ? "rels" : "rel", s->port);
}

void script_drop_all(struct script *s)
{
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < SCRIPT_CONNECTIONS; i++)
		drop(&s->connections[i]);
	pthread_mutex_unlock(&s->lock);
}

void script_down(struct script *s)
{
	script_drop_all(s);
	pthread_mutex_lock(&s->lock);
	close(s->listener);
	s->listener = -1;
	pthread_mutex_unlock(&s->lock);
}

void script_up(struct script *s)
{
	pthread_mutex_lock(&s->lock);
	listen_at(s);
	pthread_mutex_unlock(&s->lock);
}

void script_say_all(struct script *s, const void *message, size_t len)
{
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < SCRIPT_CONNECTIONS; i++)
		if (s->connections[i].fd >= 0 && s->connections[i].logged_in)
			say(s, &s->connections[i], message, len);
	pthread_mutex_unlock(&s->lock);
}

unsigned script_count(struct script *s, const unsigned *counter)
{
	unsigned value;

	pthread_mutex_lock(&s->lock);
	value = *counter;
	pthread_mutex_unlock(&s->lock);
	return value;
}
