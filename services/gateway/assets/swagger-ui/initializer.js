// What the parts only say to each other cannot be tried: the gateway answers 404.
const withoutInternal = {
  statePlugins: {
    spec: {
      wrapSelectors: {
        taggedOperations: (original) => (state, ...rest) =>
          original(state, ...rest).filter((_, tag) => tag !== "internal"),
      },
    },
  },
};

SwaggerUIBundle({
  configUrl: "config.json", // Made by the gateway: `urls: [{url, name}]`, one for every part.
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // The default sends the document's address to another host.
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [withoutInternal],
  layout: "StandaloneLayout",
});
