/*
 * Known answers. Where no RFC has one, they were computed with Python's hashlib and hmac, which share no code
 * with ours.
 */
#include "tests/unit/test.h"

#include "crypto/primitives.h"
#include "tests/unit/hex.h"

static void fill_message(uint8_t *m, size_t len)
{
	for (size_t i = 0; i < len; i++)
		m[i] = (uint8_t)(3 * i + len);
}

/* RFC 7748 section 5.2, the two single vectors. */
static void test_x25519_vectors(void **state)
{
	static const char *const vectors[][3] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct key scalar, point, out;

		from_hex(scalar.bytes, KEY_LEN, vectors[i][0]);
		from_hex(point.bytes, KEY_LEN, vectors[i][1]);
		assert_true(dh(&out, &scalar, &point));
		assert_hex(out.bytes, KEY_LEN, vectors[i][2]);
	}
}

/* The same section: k and u start as 9, then k, u = X25519(k, u), k. */
static void test_x25519_iterated(void **state)
{
	struct key k = {{9}}, u = k, out;

	(void)state;
	for (int i = 1; i <= 1000; i++) {
		assert_true(dh(&out, &k, &u));
		u = k;
		k = out;
		if (i == 1)
			assert_hex(k.bytes, KEY_LEN,
				   "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	}
	assert_hex(k.bytes, KEY_LEN, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void test_x25519_low_order(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct key secret, public, point, out;

	(void)state;
	dh_keypair(&secret, &public);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		memset(&out, 0xaa, sizeof(out));
		from_hex(point.bytes, KEY_LEN, points[i]);
		assert_false(dh(&out, &secret, &point));
		assert_true(key_is_zero(&out));
	}
}

static void test_keypair(void **state)
{
	struct key a, a_public, b, b_public, again, ab, ba;

	(void)state;
	dh_keypair(&a, &a_public);
	dh_keypair(&b, &b_public);
	assert_false(key_equal(&a, &b));
	assert_int_equal(a.bytes[0] & 7, 0);
	assert_int_equal(a.bytes[31] & 0xc0, 0x40);
	again = a;
	dh_clamp(&again);
	assert_true(key_equal(&a, &again));
	dh_public(&again, &a);
	assert_true(key_equal(&a_public, &again));
	assert_true(dh(&ab, &a, &b_public));
	assert_true(dh(&ba, &b, &a_public));
	assert_true(key_equal(&ab, &ba));
}

static void test_blake2s(void **state)
{
	uint8_t out[HASH_LEN], m[300], all[300 * HASH_LEN];

	(void)state;
	blake2s_256(out, "abc", 3, NULL, 0); /* RFC 7693 appendix B */
	assert_hex(out, HASH_LEN, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
	blake2s_256(out, NULL, 0, NULL, 0);
	assert_hex(out, HASH_LEN, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
	/* Every length up to 299, cut at every kind of place. */
	for (size_t len = 0; len < 300; len++) {
		size_t cut = len * 7 % 13 * len / 13;

		fill_message(m, len);
		blake2s_256(all + len * HASH_LEN, m, cut, m + cut, len - cut);
	}
	blake2s_256(out, all, sizeof(all), NULL, 0);
	assert_hex(out, HASH_LEN, "83d16a5fc452984f6474b4b4502ec4978181ae0116f008703bbeedcc882ec759");
}

static void test_blake2s_mac(void **state)
{
	static const size_t key_lens[] = {1, 16, 31, 32};
	uint8_t key[32], m[200], all[4 * 200 * MAC_LEN], out[HASH_LEN], *at = all;

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (int k = 0; k < 4; k++)
		for (size_t len = 0; len < 200; len++) {
			fill_message(m, len);
			blake2s_mac(at, key, key_lens[k], m, len);
			at += MAC_LEN;
		}
	blake2s_256(out, all, sizeof(all), NULL, 0);
	assert_hex(out, HASH_LEN, "6918de483dafd6ed161d52ab0f49f6ddddc0ebedb0077f25dddc9db0b8334fdb");
}

static void test_hmac(void **state)
{
	static const char text[] = "what do ya want for nothing?";
	uint8_t bytes[200], x[64], out[HASH_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	memset(x, 'x', sizeof(x));
	hmac_blake2s(out, bytes, 0, "", 0);
	assert_hex(out, HASH_LEN, "eaf4bb25938f4d20e72656bbbc7a9bf63c0c18537333c35bdb67db1402661acd");
	hmac_blake2s(out, bytes, 32, text, strlen(text));
	assert_hex(out, HASH_LEN, "14229dde9cdbd4dd31b1a703ac36832ecc9177e0ba0d4632568515aaec7e401f");
	hmac_blake2s(out, bytes, 64, x, sizeof(x));
	assert_hex(out, HASH_LEN, "2268d198d1272b69cc5b060fcb437a16c939a02905aa930d28ce57d4bded1bed");
	hmac_blake2s(out, bytes, 100, bytes, 200); /* a key longer than a block is hashed first */
	assert_hex(out, HASH_LEN, "c4c95271905c6f69c1dd7c6fbc0cb3735457a660ccc2c4370f28825e7abef5af");
}

/* The chaining key is the hash of the construction's name, as every handshake starts (paper 5.4.1). */
static void test_kdf(void **state)
{
	static const char name[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
	uint8_t ck[HASH_LEN], in[32], a[HASH_LEN], b[HASH_LEN], c[HASH_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	blake2s_256(ck, name, strlen(name), NULL, 0);
	assert_hex(ck, HASH_LEN, "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
	kdf(a, b, c, ck, NULL, 0);
	assert_hex(a, HASH_LEN, "bd968725a9177942a8c2e4253d1dde31cf7b19ec001b4a3a3d141cd9d998d3ba");
	assert_hex(b, HASH_LEN, "aab5462b323780fa615bf80ffe469510239ff361575a663968e686a7ae41d693");
	assert_hex(c, HASH_LEN, "ae1e06e0931da10b9971bab8e282b42307522b38c0f4492cdd1bf44298126887");
	kdf(NULL, NULL, c, ck, in, sizeof(in));
	assert_hex(c, HASH_LEN, "35a7b2fc3e4f59db341dbe588e3b75897980c463d5bbb855f8ed8134ff40133a");
	kdf(ck, b, NULL, ck, in, sizeof(in)); /* in place */
	assert_hex(ck, HASH_LEN, "6ff66e10ab4a55ac8144a867fcd9f8ee64d4bd6239223338cb3437cf085ab031");
	assert_hex(b, HASH_LEN, "203b22d63d63e35cebb9e40210cf8c1d7f90879428a4c766cda9ef34bb299398");
}

#define DRAFTS                                                                                               \
	"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, "         \
	"replaced, or obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts " \
	"as reference material or to cite them other than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d"

/* RFC 8439 appendix A.5: its nonce happens to have the shape of ours. */
static void test_aead_rfc8439(void **state)
{
	static const char sealed[] = "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc1"
				     "8755d43eea09ee94e382d26"
				     "b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad1"
				     "76e008d33bd60f982b1ff37"
				     "c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b91"
				     "66c767b804d46a59b5216cd"
				     "e7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0"
				     "d072b04b3564eea1b422273"
				     "f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1"
				     "049e617d91d361094fa68f0"
				     "ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890"
				     "cbb22392336fea1851f38";
	const uint64_t counter = 0x0807060504030201;
	const size_t len = sizeof(DRAFTS) - 1;
	uint8_t ad[12], out[sizeof(DRAFTS) - 1 + AEAD_TAG_LEN], back[sizeof(DRAFTS) - 1],
		zero[sizeof(back)] = {0};
	struct key key;

	(void)state;
	from_hex(key.bytes, KEY_LEN, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	from_hex(ad, sizeof(ad), "f33388860000000000004e91");
	aead_seal_small(out, DRAFTS, len, ad, sizeof(ad), counter, &key);
	assert_hex(out, sizeof(out), sealed);
	assert_true(aead_open_small(back, out, sizeof(out), ad, sizeof(ad), counter, &key));
	assert_memory_equal(back, DRAFTS, len);

	assert_false(aead_open_small(back, out, sizeof(out), ad, sizeof(ad), counter + 1, &key));
	assert_memory_equal(back, zero, len);
	assert_false(aead_open_small(back, out, sizeof(out), ad, sizeof(ad) - 1, counter, &key));
	assert_false(aead_open_small(back, out, sizeof(out) - 1, ad, sizeof(ad), counter, &key));
	assert_false(aead_open_small(back, out, AEAD_TAG_LEN - 1, ad, sizeof(ad), counter, &key));
	for (size_t i = 0; i < sizeof(out); i += 7) {
		out[i] ^= 0x10;
		assert_false(aead_open_small(back, out, sizeof(out), ad, sizeof(ad), counter, &key));
		out[i] ^= 0x10;
	}
	key.bytes[5] ^= 1;
	assert_false(aead_open_small(back, out, sizeof(out), ad, sizeof(ad), counter, &key));
}

#define SUNSCREEN                                                                                            \
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "       \
	"sunscreen would be it."

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void test_xaead_draft(void **state)
{
	static const char sealed[] = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1"
				     "b0b4aa6440bf3a82f4eda7e39"
				     "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2"
				     "bc369488f76b2383565d3fff9"
				     "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";
	const size_t len = sizeof(SUNSCREEN) - 1;
	uint8_t nonce[XAEAD_NONCE_LEN], ad[12], out[sizeof(SUNSCREEN) - 1 + AEAD_TAG_LEN];
	uint8_t back[sizeof(SUNSCREEN) - 1], zero[sizeof(back)] = {0};
	struct key key;

	(void)state;
	for (int i = 0; i < KEY_LEN; i++)
		key.bytes[i] = (uint8_t)(0x80 + i);
	for (int i = 0; i < XAEAD_NONCE_LEN; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	from_hex(ad, sizeof(ad), "50515253c0c1c2c3c4c5c6c7");
	xaead_seal(out, SUNSCREEN, len, ad, sizeof(ad), nonce, &key);
	assert_hex(out, sizeof(out), sealed);
	assert_true(xaead_open(back, out, sizeof(out), ad, sizeof(ad), nonce, &key));
	assert_memory_equal(back, SUNSCREEN, len);

	out[3] ^= 1;
	assert_false(xaead_open(back, out, sizeof(out), ad, sizeof(ad), nonce, &key));
	assert_memory_equal(back, zero, len);
	out[3] ^= 1;
	nonce[23] ^= 0x80;
	assert_false(xaead_open(back, out, sizeof(out), ad, sizeof(ad), nonce, &key));
	assert_false(xaead_open(back, out, AEAD_TAG_LEN - 1, ad, sizeof(ad), nonce, &key));
}

static void test_small_things(void **state)
{
	uint8_t a[64], b[64], zero[64] = {0};

	(void)state;
	crypto_random(a, sizeof(a));
	crypto_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_false(crypto_equal(a, b, sizeof(a)));
	memcpy(b, a, sizeof(b));
	assert_true(crypto_equal(a, b, sizeof(a)));
	b[63] ^= 1;
	assert_false(crypto_equal(a, b, sizeof(a)));
	assert_true(crypto_equal(a, b, 63));
	crypto_wipe(a, sizeof(a));
	assert_memory_equal(a, zero, sizeof(a));
}

static int start(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x25519_vectors),
		cmocka_unit_test(test_x25519_iterated),
		cmocka_unit_test(test_x25519_low_order),
		cmocka_unit_test(test_keypair),
		cmocka_unit_test(test_blake2s),
		cmocka_unit_test(test_blake2s_mac),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_kdf),
		cmocka_unit_test(test_aead_rfc8439),
		cmocka_unit_test(test_xaead_draft),
		cmocka_unit_test(test_small_things),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
