/* See backend_conf.h. */
#include "service/broker/backend_conf.h"

/* The back end answers from memory; the short cache spares it questions at each publish.
 * consumer_timeout: a task that runs for days stays unacknowledged for days. */
void backend_conf(struct buf *out, const char *base_url)
{
    buf_fmt(out,
            "auth_cache.cached_backend = http\n"
            "auth_cache.cache_ttl = 5000\n"
            "auth_http.http_method = post\n"
            "auth_http.user_path = %s/user\n"
            "auth_http.vhost_path = %s/vhost\n"
            "auth_http.resource_path = %s/resource\n"
            "auth_http.topic_path = %s/topic\n"
            "consumer_timeout = 2592000000\n"
            "max_message_size = 67108864\n",
            base_url, base_url, base_url, base_url);
}
